// SPDX-License-Identifier: BSL-1.0
// What it costs to say an objective with scaled components, schedules and a report, beside the same
// calls with the factors written into destinations and sums by hand.
#include "eigen.hpp"

#include <temper/core/compose.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/l1.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/linear.hpp>

namespace {

using namespace bench;
using namespace temper;

/// Logits, features of two views, and gradients of all.
template <class T>
struct Batch {
    Matrix<T> z, a, b, gz, ga, gb;
    std::vector<std::int64_t> y;
    Index step = 0;
    Batch(Index n, Index d)
        : z(matrix<T>(n, d, 1)), a(matrix<T>(n, d, 2)), b(matrix<T>(n, d, 3)), gz(n, d), ga(n, d),
          gb(n, d), y(classes(n, d, 4))
    {
    }
};

template <class T>
void add_all(Index n, Index d)
{
    const Linear ramp{.from = 0, .to = 1e-3, .steps = 1000000};
    add<T>("composition", "temper", shape(n, d), [=] {
        return [m = Batch<T>(n, d), report = Report(), ramp]() mutable {
            report.clear();
            report.add("classification", SoftmaxCrossEntropy{}(m.z, labels(m.y), into(m.gz)));
            report.add("redundancy", (0.1 * BarlowTwins{})(m.a, m.b, into(m.ga), into(m.gb)));
            report.add("sparsity", (ramp * L1{}).at(m.step++)(m.a, add_to(m.ga)));
            benchmark::DoNotOptimize(report.total());
        };
    });
    add<T>("composition", "by_hand", shape(n, d), [=] {
        return [m = Batch<T>(n, d), ramp]() mutable {
            double value = SoftmaxCrossEntropy{}(m.z, labels(m.y), into(m.gz));
            auto ga = into(m.ga), gb = into(m.gb);
            ga.scale = gb.scale = 0.1;
            value += 0.1 * BarlowTwins{}(m.a, m.b, ga, gb);
            const double weight = ramp(m.step++);
            value += weight * L1{}(m.a, add_to(m.ga, weight));
            benchmark::DoNotOptimize(value);
        };
    });
}

const bool added = [] {
    add_all<float>(256, 1000);
    add_all<double>(256, 1000);
    add_all<float>(8, 8);
    return true;
}();

} // namespace
