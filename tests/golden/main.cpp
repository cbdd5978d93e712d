// SPDX-License-Identifier: BSL-1.0

// temper_golden DIR...: runs the golden cases in these folders through the catalogue. Exits with 0 only
// if no case failed and (unless --allow-missing) none is of a component that the catalogue does not know.

#include "support/golden.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

int main(int argc, char** argv)
{
    CLI::App app("Compares temper with golden cases");
    std::vector<std::string> folders;
    bool allow_missing = false;
    app.add_option("DIR", folders, "Folders of golden cases, or files")->required();
    app.add_flag("--allow-missing", allow_missing, "Components that are not known are no failure");
    CLI11_PARSE(app, argc, argv);
    try {
        const auto cases = test::read_golden({folders.begin(), folders.end()});
        if (cases.empty())
            throw test::CaseError("no cases");
        const auto count = test::run_golden(cases, std::cout);
        return count.failed == 0 && (allow_missing || count.missing == 0) ? 0 : 1;
    }
    catch (const std::exception& thrown) {
        std::cerr << "temper_golden: " << thrown.what() << '\n';
        return 2;
    }
}
