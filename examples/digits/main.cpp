// SPDX-License-Identifier: BSL-1.0

// temper_demo: trains a small network on real handwritten digits, without and with each technique, and
// says in a table whether what the technique's paper claims is to be seen.
//
//   temper_demo                         everything, a minute or so
//   temper_demo --quick                 fewer seeds and shorter training
//   temper_demo --out report            also report/index.html and its pictures as SVG files
//   temper_demo --json rows.json        also the table, for programs

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "digits/experiment.hpp"
#include "support/program.hpp"

namespace {

constexpr std::array<demo::Experiment, 7> experiments{{
    {"cross-entropy, mixup, label smoothing", 4.0, demo::classification},
    {"group lasso", 1.5, demo::group_lasso},
    {"soft orthogonality", 0.9, demo::soft_orthogonality},
    {"Barlow Twins", 8.0, demo::barlow_twins},
    {"robust losses", 0.2, demo::robust_regression},
    {"few labels", 1.0, demo::few_labels},
    {"label noise", 4.0, demo::label_noise},
}};

void write_json(const std::filesystem::path& path, const std::vector<support::Row>& rows)
{
    nlohmann::ordered_json document;
    document["rows"] = nlohmann::ordered_json::array();
    for (const support::Row& row : rows)
        document["rows"].push_back(
            {{"name", row.name},
             {"metric", row.metric},
             {"baseline", {{"mean", row.baseline.mean}, {"sd", row.baseline.sd}}},
             {"with", {{"mean", row.with.mean}, {"sd", row.with.sd}}},
             {"claim_shown", row.claim_shown}});
    std::ofstream file(path);
    file << document.dump(2) << "\n";
    if (!file.flush())
        throw std::runtime_error(path.string() + ": cannot be written");
}

int run(int argc, char** argv)
{
    demo::Options options;
    std::string data = TEMPER_EXAMPLE_DATA;
    std::string json;
    std::string out;

    CLI::App app{"temper on real handwritten digits: what each technique does, in a table"};
    app.add_flag("--quick", options.quick, "fewer seeds and shorter training");
    app.add_option("--seed", options.seed, "the first seed")->capture_default_str();
    app.add_option("--seeds", options.seeds, "runs of everything (default 8, with --quick 3)")
        ->check(CLI::PositiveNumber);
    app.add_option("--json", json, "write the table to this file");
    app.add_option("--out", out, "write an HTML report and SVG pictures into this folder");
    app.add_option("--data", data, "folder of digits.csv and diabetes.csv")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    if (options.seeds == 0)
        options.seeds = options.quick ? 3 : 8;

    Eigen::setNbThreads(1); // seeds run in parallel, not the products within one

    double work = 0.0;
    for (const demo::Experiment& experiment : experiments)
        work += experiment.work;
    support::Report report("temper on handwritten digits",
                           "Small networks on real data, each trained without and with a technique "
                           "under the same splits, "
                           "first weights, steps and optimiser. A claim counts as shown where the "
                           "change, measured seed by seed, is more than twice its standard error.");
    support::Progress progress(work);
    demo::Lab lab{.options = options,
                  .digits = support::load_digits(data),
                  .diabetes = support::load_diabetes(data),
                  .report = report,
                  .progress = progress,
                  .rows = {}};
    for (const demo::Experiment& experiment : experiments) {
        lab.share = experiment.work;
        progress.now(experiment.name);
        experiment.run(lab);
    }
    progress.clear();

    const std::string seeds = std::to_string(options.seeds);
    const std::string spread = "Mean ± standard deviation over " + seeds +
                               (options.seeds == 1 ? " seed" : " seeds") +
                               (options.quick ? ", shortened by --quick." : ".");
    std::printf("\n%zu handwritten digits, %zu patients. %s\n\n", lab.digits.y.size(),
                static_cast<std::size_t>(lab.diabetes.x.rows()), spread.c_str());
    support::print(lab.rows, stdout);
    std::printf(
        "\nClaims are shown where the change, measured seed by seed, is more than twice its "
        "standard error.\n%.0f seconds.\n",
        progress.seconds());

    if (!json.empty())
        write_json(json, lab.rows);
    if (!out.empty()) {
        report.results(lab.rows);
        report.footnote(spread + " First seed " + std::to_string(options.seed) +
                        ". Arrows say which direction is better.");
        report.write(out);
        std::printf("Report: %s\n", (std::filesystem::path(out) / "index.html").string().c_str());
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) { return support::program("temper_demo", run, argc, argv); }
