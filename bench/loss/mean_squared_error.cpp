// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/loss/mean_squared_error.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    const auto name = "mean_squared_error";
    add<T>(name, "temper", shape(n, d), Work{.entries = 3 * n * d}, [=] {
        return [x = matrix<T>(n, d, 1), y = matrix<T>(n, d, 2), g = Matrix<T>(n, d)]() mutable {
            benchmark::DoNotOptimize(temper::MeanSquaredError{}(x, y, temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, d), [=] {
        return [x = matrix<T>(n, d, 1), y = matrix<T>(n, d, 2), g = Matrix<T>(n, d)]() mutable {
            const T size = static_cast<T>(x.size());
            g = x - y;
            benchmark::DoNotOptimize(g.squaredNorm() / size);
            g *= 2 / size;
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>(name, "xtensor", shape(n, d), [=] {
        return [x = array<T>(n, d, 1), y = array<T>(n, d, 2), g = array<T>(n, d, 1)]() mutable {
            const T size = static_cast<T>(x.size());
            xt::noalias(g) = x - y;
            benchmark::DoNotOptimize(xt::sum(g * g)() / size);
            g *= 2 / size;
        };
    });
#endif
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {256, 3072}, {4096, 768}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
