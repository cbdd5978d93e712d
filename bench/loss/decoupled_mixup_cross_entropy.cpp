// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/decoupled_mixup_cross_entropy.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    const auto name = "decoupled_mixup_cross_entropy";
    add<T>(name, "temper", shape(n, k), Work{.entries = 2 * n * k, .exps = n * k}, [=] {
        return [z = matrix<T>(n, k, 1), a = classes(n, k, 2), b = classes(n, k, 3),
                g = Matrix<T>(n, k)]() mutable {
            const temper::DecoupledMixupCrossEntropy loss{};
            benchmark::DoNotOptimize(
                loss(z, temper::labels(a), temper::labels(b), 0.7, temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, k), [=] {
        return [z = matrix<T>(n, k, 1), a = classes(n, k, 2), b = classes(n, k, 3),
                g = Matrix<T>(n, k), n]() mutable {
            // One softmax; those without the partner are its exponentials over what the sum is without it.
            const Eigen::Vector<T, Eigen::Dynamic> top = z.rowwise().maxCoeff();
            g = (z.colwise() - top).array().exp();
            T value = 0;
            for (Index i = 0; i < n; ++i) {
                const Index ia = a[static_cast<std::size_t>(i)];
                const Index ib = b[static_cast<std::size_t>(i)];
                const T sum = g.row(i).sum();
                const T ea = g(i, ia);
                const T eb = g(i, ib);
                const bool mixed = ia != ib;
                value -= T(0.7) * std::log(ea / sum) + T(0.3) * std::log(eb / sum);
                T factor = 1 / sum;
                if (mixed) {
                    value -= T(0.1) * (std::log(ea / (sum - eb)) + std::log(eb / (sum - ea)));
                    factor += T(0.1) / (sum - eb) + T(0.1) / (sum - ea);
                }
                g.row(i) *= factor / static_cast<T>(n);
                const T share = 1 / static_cast<T>(n);
                if (mixed) {
                    g(i, ia) = share * (ea / sum - T(0.7) + T(0.1) * (ea / (sum - eb) - 1));
                    g(i, ib) = share * (eb / sum - T(0.3) + T(0.1) * (eb / (sum - ea) - 1));
                }
                else
                    g(i, ia) -= share;
            }
            benchmark::DoNotOptimize(value / static_cast<T>(n));
        };
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
