// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the experiments share: the data, the options, where rows and figures go, and a loop over seeds.

#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/data.hpp"
#include "support/progress.hpp"
#include "support/report.hpp"
#include "support/rows.hpp"

namespace demo {

using support::Index;
using Matrix = support::Matrix<float>;

struct Options {
    std::uint64_t seed = 1;
    int seeds = 0; // 0: as many as the experiments need to tell a difference from chance
    bool quick = false;
};

struct Lab {
    Options options;
    support::LabelledData digits;
    support::RegressionData diabetes;
    support::Report& report;
    support::Progress& progress;
    std::vector<support::Row> rows;
    double share = 0.0; // of the whole work, the running experiment's

    /// Calls run(seed, arm) for all seeds and arms, on as many threads as OpenMP has. The answer's
    /// element [arm][i] is that of the i-th seed. A run must take all its randomness from its seed.
    template <class Run>
    auto repeat(int arms, Run run)
    {
        using Result = decltype(run(std::uint64_t{}, 0));
        const int runs = arms * options.seeds;
        std::vector<std::vector<Result>> results(
            static_cast<std::size_t>(arms),
            std::vector<Result>(static_cast<std::size_t>(options.seeds)));
        std::exception_ptr failure;
        std::mutex mutex;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1)
#endif
        for (int i = 0; i < runs; ++i) {
            const int seed = i / arms;
            const int arm = i % arms;
            try {
                Result result = run(options.seed + static_cast<std::uint64_t>(seed), arm);
                const std::lock_guard lock(mutex);
                results[static_cast<std::size_t>(arm)][static_cast<std::size_t>(seed)] =
                    std::move(result);
            }
            catch (...) {
                const std::lock_guard lock(mutex);
                failure = std::current_exception();
            }
            progress.advance(share / runs);
        }
        if (failure)
            std::rethrow_exception(failure);
        return results;
    }

    /// A row from the values of both arms, one for each seed.
    support::Row& add_row(support::Row row, const std::vector<double>& baseline,
                          const std::vector<double>& with)
    {
        row.measure(baseline, with);
        return rows.emplace_back(std::move(row));
    }
};

/// What `measure` reads off each run.
template <class Result, class Measure>
std::vector<double> values(const std::vector<Result>& runs, Measure measure)
{
    std::vector<double> out;
    for (const Result& run : runs)
        out.push_back(std::invoke(measure, run));
    return out;
}

/// The mean over seeds of what `measure` reads off a run.
template <class Result, class Measure>
support::Summary over_seeds(const std::vector<Result>& runs, Measure measure)
{
    return support::summarize(values(runs, measure));
}

/// A curve with a band of one standard deviation over seeds; `curve` reads a vector off a run.
template <class Result, class Curve>
support::Series band(std::string name, int colour, const std::vector<double>& x,
                     const std::vector<Result>& runs, Curve curve)
{
    support::Series series{.name = std::move(name),
                           .x = x,
                           .y = {},
                           .low = {},
                           .high = {},
                           .colour = colour,
                           .dashed = colour == 0,
                           .markers = false};
    for (std::size_t i = 0; i < x.size(); ++i) {
        const support::Summary at =
            over_seeds(runs, [&](const Result& run) { return std::invoke(curve, run).at(i); });
        series.y.push_back(at.mean);
        series.low.push_back(at.mean - at.sd);
        series.high.push_back(at.mean + at.sd);
    }
    return series;
}

/// Rows of 8 x 8 images as a picture.
inline std::string image_rows(const std::vector<std::pair<std::string, const Matrix*>>& rows)
{
    support::ImageGrid grid;
    for (const auto& [name, images] : rows) {
        grid.rows.push_back({name, {}});
        for (Index i = 0; i < images->rows(); ++i)
            grid.rows.back().images.push_back(
                {Eigen::Map<const Matrix>(images->row(i).data(), 8, 8), ""});
    }
    return support::svg(grid);
}

/// One experiment fills in rows and figures.
struct Experiment {
    std::string_view name;
    double work; // seconds of one core and seed, measured once, for the progress line
    void (*run)(Lab&);
};

// One of each in experiments/*.cpp.
void classification(Lab& lab);
void group_lasso(Lab& lab);
void soft_orthogonality(Lab& lab);
void barlow_twins(Lab& lab);
void robust_regression(Lab& lab);
void few_labels(Lab& lab);
void label_noise(Lab& lab);

} // namespace demo
