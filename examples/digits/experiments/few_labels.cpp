// SPDX-License-Identifier: BSL-1.0

// Rows of few labels: what 500 images without a label add to four of each class.

#include "digits/few_labels.hpp"
#include "digits/experiment.hpp"

namespace demo {
namespace {

/// What each image without a label is seen as.
std::string views(const support::LabelledData& digits, std::uint64_t seed)
{
    constexpr Index count = 6; // even: nobody is mixed with itself
    auto rng = temper::stream(seed, 0, "pictures");
    const std::vector<Index> one_of_each =
        support::stratified_split(digits.y, digits.classes, 1, rng).train;
    const Matrix x =
        support::take(digits, std::span(one_of_each).first(static_cast<std::size_t>(count))).x;
    Matrix weak, strong(count, 64), mixed(count, 64);
    shift(x, rng, weak);
    const temper::RandAugment augment{};
    augment.apply(augment.draw(rng, count, {8, 8}), weak, temper::into(strong));
    const temper::Mixup<temper::FlooredCoefficient<>, temper::ReversedPairs> mixup{};
    mixup.apply(mixup.draw(rng, count), weak, temper::into(mixed));

    return image_rows({{"digit", &x}, {"weak", &weak}, {"strong", &strong}, {"mixed", &mixed}});
}

} // namespace

void few_labels(Lab& lab)
{
    const Index steps = lab.options.quick ? 200 : 500;
    const auto runs = lab.repeat(4, [&](std::uint64_t seed, int arm) {
        constexpr LearnFrom arms[] = {LearnFrom::labels, LearnFrom::uda, LearnFrom::shrink_match,
                                      LearnFrom::semixup};
        return train_few_labels(lab.digits, arms[arm], seed, steps);
    });
    lab.report.section(
        "Four labels of each class",
        "A network 64-128-64-10 sees 40 labelled digits, and 500 without labels: RandAugment makes "
        "a "
        "strong view of each, whose prediction shall be that of the weak view where that is sure "
        "(UDA, "
        "Xie et al. 2020), or becomes sure among fewer classes (ShrinkMatch, Yang et al. 2023). "
        "Semixup (Nguyen et al. 2020) also mixes images, whose prediction shall be the mixed one. "
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
    row("Semixup, 4 labels a class", runs[3]);
    lab.report.figure(
        "weak_and_strong", views(lab.digits, lab.options.seed),
        "Digits, the weak and the strong view of each, and its mixture with another.");
}

} // namespace demo
