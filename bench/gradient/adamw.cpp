// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/gradient/adamw.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n)
{
    const std::string size = std::to_string(n);
    add<T>("adamw", "temper", size, Work{.entries = 7 * n}, [=] {
        const temper::AdamW adamw{};
        auto w = numbers<T>(n, 1);
        auto state = adamw.init(w);
        return [adamw, w, state, g = numbers<T>(n, 2)]() mutable { adamw.step(state, w, g); };
    });
    add<T>("adamw", "eigen", size, [=] {
        using Vector = Eigen::Vector<T, Eigen::Dynamic>;
        return [w = Vector(matrix<T>(n, 1, 1)), g = Vector(matrix<T>(n, 1, 2)),
                m = Vector(Vector::Zero(n)), v = Vector(Vector::Zero(n)), t = 0]() mutable {
            ++t;
            const T root = T(1) / std::sqrt(T(1) - std::pow(T(0.999), static_cast<T>(t)));
            const T rate = T(1e-3) / (T(1) - std::pow(T(0.9), static_cast<T>(t)));
            m = T(0.9) * m + T(0.1) * g;
            v = T(0.999) * v + T(0.001) * g.cwiseAbs2();
            w.array() =
                w.array() * T(1 - 1e-5) - rate * m.array() / (v.array().sqrt() * root + T(1e-8));
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>("adamw", "xtensor", size, [=] {
        using Array = xt::xtensor<T, 2>;
        const auto g = array<T>(n, 1, 2);
        return [w = array<T>(n, 1, 1), g, m = Array(xt::zeros_like(g)),
                v = Array(xt::zeros_like(g)), t = 0]() mutable {
            ++t;
            const T root = T(1) / std::sqrt(T(1) - std::pow(T(0.999), static_cast<T>(t)));
            const T rate = T(1e-3) / (T(1) - std::pow(T(0.9), static_cast<T>(t)));
            xt::noalias(m) = T(0.9) * m + T(0.1) * g;
            xt::noalias(v) = T(0.999) * v + T(0.001) * g * g;
            xt::noalias(w) = w * T(1 - 1e-5) - rate * m / (xt::sqrt(v) * root + T(1e-8));
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
