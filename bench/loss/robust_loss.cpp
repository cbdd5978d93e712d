// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/loss/robust_loss.hpp>

namespace {

using namespace bench;

constexpr double c = 0.03; // of Pseudo-Huber

template <class T>
void add_all(Index n, Index d, temper::Form form)
{
    const bool element = form == temper::Form::element;
    const std::string name = element ? "robust_loss" : "robust_loss_sample";
    add<T>(name, "temper", shape(n, d), Work{.entries = 3 * n * d}, [=] {
        return [x = matrix<T>(n, d, 1), y = matrix<T>(n, d, 2), g = Matrix<T>(n, d),
                form]() mutable {
            const temper::RobustLoss<temper::PseudoHuber> loss{.kernel = {.c = c}, .form = form};
            benchmark::DoNotOptimize(loss(x, y, temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, d), [=] {
        return [x = matrix<T>(n, d, 1), y = matrix<T>(n, d, 2), g = Matrix<T>(n, d), n, d,
                element]() mutable {
            const T c2 = T(c * c);
            g = x - y;
            if (element) {
                const Matrix<T> root = (g.array().square() + c2).sqrt();
                benchmark::DoNotOptimize((root.array() - T(c)).mean());
                g.array() /= root.array() * static_cast<T>(n * d);
                return;
            }
            const Eigen::Vector<T, Eigen::Dynamic> root =
                (g.rowwise().squaredNorm().array() + c2).sqrt();
            benchmark::DoNotOptimize((root.array() - T(c)).mean());
            g.array().colwise() /= root.array() * static_cast<T>(n);
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>(name, "xtensor", shape(n, d), [=] {
        return [x = array<T>(n, d, 1), y = array<T>(n, d, 2), g = xt::xtensor<T, 2>(), n, d,
                element]() mutable {
            const T c2 = T(c * c);
            g = x - y;
            if (element) {
                const xt::xtensor<T, 2> root = xt::sqrt(g * g + c2);
                benchmark::DoNotOptimize(xt::mean(root - T(c))());
                g /= root * static_cast<T>(n * d);
                return;
            }
            const xt::xtensor<T, 2> root = xt::sqrt(xt::sum(g * g, {1}, xt::keep_dims) + c2);
            benchmark::DoNotOptimize(xt::mean(root - T(c))());
            g /= root * static_cast<T>(n);
        };
    });
#endif
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {4096, 64}, {256, 3072}})
        for (const auto form : {temper::Form::element, temper::Form::sample}) {
            add_all<float>(n, d, form);
            add_all<double>(n, d, form);
        }
    return true;
}();

} // namespace
