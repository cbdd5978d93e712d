// SPDX-License-Identifier: BSL-1.0

// Rows of few labels: what 500 images without a label add to four of each class.

#include "digits/few_labels.hpp"
#include "digits/experiment.hpp"

namespace demo {

void few_labels(Lab& lab)
{
    const Index steps = lab.options.quick ? 200 : 500;
    const auto runs = lab.repeat(3, [&](std::uint64_t seed, int arm) {
        constexpr LearnFrom arms[] = {LearnFrom::labels, LearnFrom::uda, LearnFrom::shrink_match};
        return train_few_labels(lab.digits, arms[arm], seed, steps);
    });
    lab.report.section(
        "Four labels of each class",
        "A network 64-128-64-10 sees 40 labelled digits, and 500 without labels: RandAugment makes "
        "a "
        "strong view of each, whose prediction shall be that of the weak view where that is sure "
        "(UDA, "
        "Xie et al. 2020), or becomes sure among fewer classes (ShrinkMatch, Yang et al. 2023). "
        "All see "
        "the same labelled images, moved by a pixel at most, for the same number of steps.");
    const auto row = [&](const std::string& name, const std::vector<FewLabelsRun>& with) {
        lab.add_row({.name = name,
                     .metric = "test accuracy",
                     .baseline_name = "labelled digits only",
                     .percent = true,
                     .claim = "more accurate"},
                    values(runs[0], &FewLabelsRun::accuracy),
                    values(with, &FewLabelsRun::accuracy));
    };
    row("UDA, 4 labels a class", runs[1]);
    row("ShrinkMatch, 4 labels a class", runs[2]);
}

} // namespace demo
