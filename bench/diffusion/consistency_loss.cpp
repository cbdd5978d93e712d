// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/diffusion/consistency_loss.hpp>
#include <temper/diffusion/edm_loss.hpp>
#include <temper/diffusion/karras_sigmas.hpp>

namespace {

using namespace bench;

temper::NoisePairs pairs_of(Index n)
{
    std::vector<Index> index;
    for (Index i = 0; i < n; ++i)
        index.push_back(i * 7 % 160);
    return temper::NoisePairs::of(temper::KarrasSigmas{}.ascending(161), index);
}

/// One form of the loss: temper, and the same equations in Eigen's expressions.
template <class T>
void add_all(Index n, Index d)
{
    const auto add_loss = [&](const std::string& name, const auto& loss) {
        add<T>(name, "temper", shape(n, d), Work{.entries = 5 * n * d}, [=] {
            return [x = matrix<T>(n, d, 1), z = matrix<T>(n, d, 2), high = matrix<T>(n, d, 3),
                    low = matrix<T>(n, d, 4), g = Matrix<T>(n, d), pairs = pairs_of(n),
                    loss]() mutable {
                benchmark::DoNotOptimize(loss(x, z, pairs, high, low, temper::into(g)));
            };
        });
    };
    const temper::ConsistencyLoss<> improved{.kernel = temper::PseudoHuber::for_entries(d)};
    const temper::LatentConsistencyLoss<> latent{.consistency = {.kernel = {.c = 0.03}}};
    add_loss("consistency_loss", improved);
    add_loss("latent_consistency_loss", latent);

    add<T>("consistency_loss", "eigen", shape(n, d), [=] {
        return [x = matrix<T>(n, d, 1), z = matrix<T>(n, d, 2), high = matrix<T>(n, d, 3),
                low = matrix<T>(n, d, 4), g = Matrix<T>(n, d), pairs = pairs_of(n), improved,
                n]() mutable {
            using Column = Eigen::Vector<T, Eigen::Dynamic>;
            Column sh(n), sl(n), kh(n), kl(n), oh(n), ol(n), w(n);
            for (Index i = 0; i < n; ++i) {
                const auto at = static_cast<std::size_t>(i);
                const auto up = improved.scalings(pairs.high[at]);
                const auto down = improved.scalings(pairs.low[at]);
                sh(i) = T(pairs.high[at]), sl(i) = T(pairs.low[at]);
                kh(i) = T(up.skip), kl(i) = T(down.skip), oh(i) = T(up.out), ol(i) = T(down.out);
                w(i) = T(1 / (pairs.high[at] - pairs.low[at]));
            }
            const T c = T(improved.kernel.c);
            g = kh.asDiagonal() * (x + sh.asDiagonal() * z) + oh.asDiagonal() * high -
                kl.asDiagonal() * (x + sl.asDiagonal() * z) - ol.asDiagonal() * low;
            const Column root = (g.rowwise().squaredNorm().array() + c * c).sqrt();
            benchmark::DoNotOptimize((w.array() * (root.array() - c)).mean());
            g.array().colwise() *= w.array() * oh.array() / (root.array() * static_cast<T>(n));
        };
    });
    add<T>("edm_loss", "temper", shape(n, d), Work{.entries = 4 * n * d}, [=] {
        return [x = matrix<T>(n, d, 1), z = matrix<T>(n, d, 2), f = matrix<T>(n, d, 3),
                g = Matrix<T>(n, d), pairs = pairs_of(n)]() mutable {
            benchmark::DoNotOptimize(temper::EdmLoss{}(x, z, pairs.high, f, temper::into(g)));
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{32, 16}, {256, 16}, {256, 3072}, {256, 12288}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
