// SPDX-License-Identifier: BSL-1.0

// Catch2's runner, with one option more: `--from PART` (repeatable) runs the test cases of one folder
// or file of tests/, as `--from loss/` or `--from checkpoint.cpp`. CTest runs every part on its own.
// A part without test cases is an error: a test that was renamed away must not look like one that
// passed.

#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

// The path below tests/; compilers and their caches spell what comes before it in their own ways.
std::string_view place_of(std::string_view file)
{
    const std::string_view tests = "tests/";
    return file.substr(file.rfind(tests) + tests.size());
}

// Catch2's name patterns give a meaning to these characters.
std::string exactly(const std::string& name)
{
    std::string pattern;
    for (const char c : name) {
        if (c == '\\' || c == ',' || c == '[' || c == '"' || c == '*')
            pattern += '\\';
        pattern += c;
    }
    return '"' + pattern + '"';
}

std::vector<std::string> names_from(const std::string& part)
{
    std::vector<std::string> names;
    for (const auto& test : Catch::getRegistryHub().getTestCaseRegistry().getAllTests()) {
        const Catch::TestCaseInfo& info = test.getTestCaseInfo();
        if (place_of(info.lineInfo.file).substr(0, part.size()) == part)
            names.push_back(exactly(info.name));
    }
    return names;
}

} // namespace

int main(int argc, char** argv)
{
    std::vector<const char*> rest;
    std::vector<std::string> names;
    for (int i = 0; i < argc; ++i) {
        if (std::string_view(argv[i]) != "--from" || i + 1 == argc) {
            rest.push_back(argv[i]);
            continue;
        }
        const std::string part = argv[++i];
        const std::vector<std::string> found = names_from(part);
        if (found.empty()) {
            std::cerr << "no test cases in " << part << '\n';
            return 1;
        }
        names.insert(names.end(), found.begin(), found.end());
    }

    Catch::Session session;
    if (const int error = session.applyCommandLine(static_cast<int>(rest.size()), rest.data()))
        return error;
    if (!names.empty()) {
        std::string pattern;
        for (const std::string& name : names)
            pattern += (pattern.empty() ? "" : ",") + name;
        session.configData().testsOrTags.push_back(pattern);
    }
    return session.run();
}
