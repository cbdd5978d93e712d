// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/gradient/perpendicular_gradient.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n)
{
    const std::string size = std::to_string(n);
    add<T>("perpendicular_gradient", "temper", size, Work{.entries = 3 * n}, [=] {
        return [w = numbers<T>(n, 1), g = numbers<T>(n, 2), p = numbers<T>(n, 3)]() mutable {
            temper::PerpendicularGradient{}.apply(w, g, temper::into(p));
        };
    });
    add<T>("perpendicular_gradient", "eigen", size, [=] {
        using Vector = Eigen::Vector<T, Eigen::Dynamic>;
        return [w = Vector(matrix<T>(n, 1, 1)), g = Vector(matrix<T>(n, 1, 2)),
                p = Vector(n)]() mutable {
            p = g - w.dot(g) / (w.squaredNorm() + T(1e-30)) * w;
            p *= g.norm() / (p.norm() + T(1e-30));
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>("perpendicular_gradient", "xtensor", size, [=] {
        return [w = array<T>(n, 1, 1), g = array<T>(n, 1, 2), p = array<T>(n, 1, 3)]() mutable {
            const T along = xt::sum(w * g)() / (xt::sum(w * w)() + T(1e-30));
            xt::noalias(p) = g - along * w;
            p *= std::sqrt(xt::sum(g * g)()) / (std::sqrt(xt::sum(p * p)()) + T(1e-30));
        };
    });
#endif
}

const bool added = [] {
    for (const Index n : {64, 320, 1 << 20}) {
        add_all<float>(n);
        add_all<double>(n);
    }
    return true;
}();

} // namespace
