// SPDX-License-Identifier: BSL-1.0
#pragma once

// The kernel of RobustLoss, for robust kernels that temper does not know. robust_loss.hpp includes it;
// where kernels are linked from the compiled library, a user with a robust kernel of their own does.

#include <temper/loss/robust_loss.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {

/// A pack through a kernel, lane by lane where the kernel takes plain numbers only.
template <class Kernel, class V>
[[nodiscard]] Rho<V> rho_of(const Kernel& kernel, V s)
{
    if constexpr (requires {
                      { kernel(s) } -> std::same_as<Rho<V>>;
                  })
        return kernel(s);
    else {
        using T = typename V::Scalar;
        constexpr auto size = static_cast<std::size_t>(V::size);
        std::array<std::array<T, size>, 3> lanes;
        s.store(lanes[0].data());
        for (std::size_t l = 0; l < size; ++l) {
            const Rho<double> rho = kernel(static_cast<double>(lanes[0][l]));
            lanes[0][l] = static_cast<T>(rho.value);
            lanes[1][l] = static_cast<T>(rho.first);
            lanes[2][l] = static_cast<T>(rho.second);
        }
        return {V::load(lanes[0].data()), V::load(lanes[1].data()), V::load(lanes[2].data())};
    }
}

/// What the forms do with a tile: gradients are written, sums of its rows returned.
template <class T>
struct RobustTiles {
    using V = simd::Pack<T>;
    static constexpr double infinity = std::numeric_limits<double>::infinity();
    MatrixView<const T> x, y;
    RowScale<T> scale;
    Destination<T, 2> gx, gy, curvature;

    /// The sum of all rows; per_sample gets `share` of theirs.
    template <class F>
    [[nodiscard]] double sum(const Destination<T, 1>& per_sample, double share, const F& of) const
    {
        const auto operands = simd::operands(x, y, gx, gy, curvature);
        return simd::sum_tiles<T>(operands, 0, [&](const auto& tile) {
            const auto sums = of(tile);
            double total = 0;
            for (Index i = 0; i < tile.rows(); ++i) {
                total += scale(tile.row(i)) * sums[i];
                if (per_sample)
                    per_sample.put(per_sample.view(tile.row(i)), static_cast<T>(share * sums[i]));
            }
            return total;
        });
    }

    [[nodiscard]] double samples(const Destination<T, 1>& per_sample,
                                 const RhoReference& rho_at) const
    {
        return sum(per_sample, 1, [&](const auto& tile) {
            auto sums = tile.sum([*this](auto at) {
                const V r = at(x) - at(y);
                return r * r;
            });
            auto slope = tile.numbers();
            auto bend = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                const double w = scale(tile.row(i));
                const Rho<double> rho = rho_at(sums[i]);
                sums[i] = rho.value;
                slope[i] = static_cast<T>(w * 2 * rho.first);
                bend[i] = static_cast<T>(rho.second > 0 ? w * 4 * rho.second : 0);
            }
            if (gx || gy || curvature)
                tile.each([=, *this](auto at) {
                    const V r = at(x) - at(y);
                    const V g = at(slope) * r;
                    at.put(gx, g);
                    at.put(gy, -g);
                    at.put(curvature, fma(at(bend) * r, r, at(slope)));
                });
            return sums;
        });
    }

    /// Of the residual r: rho, 2 rho' (0 where infinite) and the gradient 2 w rho' r.
    struct Slope {
        Rho<V> rho;
        V steep, g;

        template <class Kernel>
        Slope(const Kernel& kernel, V w, V r)
            : rho(rho_of(kernel, r * r)),
              steep(select(rho.first == V(infinity), V(0), V(2) * rho.first)), g(w * (steep * r))
        {
        }
    };
    /// The sum of all entries, where rows are of no interest.
    template <class Kernel>
    [[nodiscard]] double entries(const Kernel& kernel) const
    {
        return scale.factor * simd::map_sum(simd::in(x, y), simd::out(gx, gy),
                                            [kernel, w = scale.factor](V u, V v, V& g, V& minus_g) {
                                                const Slope at(kernel, V(w), u - v);
                                                g = at.g;
                                                minus_g = -at.g;
                                                return at.rho.value;
                                            });
    }
    template <bool curved, class Tile, class Kernel>
    [[nodiscard]] auto elements(const Tile& tile, const Kernel& kernel) const
    {
        auto w = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            w[i] = static_cast<T>(scale(tile.row(i)));
        return tile.sum([=, *this](auto at) {
            const V r = at(x) - at(y);
            const Slope slope(kernel, at(w), r);
            at.put(gx, slope.g);
            at.put(gy, -slope.g);
            if constexpr (curved) {
                const V second = slope.rho.second;
                const V bend = select(second > V(0), V(4) * (r * r) * second, V(0));
                at.put(curvature, at(w) * (slope.steep + bend));
            }
            return slope.rho.value;
        });
    }
};

template <class T, class Kernel>
double RobustLoss<T, Kernel>::run(const temper::RobustLoss<Kernel>& loss, MatrixView<const T> x,
                                  MatrixView<const T> y, RowScale<T> scale,
                                  const Destination<T, 2>& gx, const Destination<T, 2>& gy,
                                  const Destination<T, 1>& per_sample,
                                  const Destination<T, 2>& curvature)
{
    const RobustTiles<T> tiles{x, y, scale, gx, gy, curvature};
    if (loss.form == Form::sample)
        return tiles.samples(per_sample, RhoReference::to(loss.kernel, loss.name));
    if (scale.weights.data == nullptr && !per_sample && !curvature)
        return tiles.entries(loss.kernel);
    const double share =
        loss.reduction == Reduction::mean && x.cols() > 0 ? 1 / static_cast<double>(x.cols()) : 1;
    return tiles.sum(per_sample, share, [&](const auto& tile) {
        return curvature ? tiles.template elements<true>(tile, loss.kernel)
                         : tiles.template elements<false>(tile, loss.kernel);
    });
}

} // namespace kernel

#ifdef TEMPER_BUILD_KERNELS
template struct kernel::RobustLoss<float, L2Residual>;
template struct kernel::RobustLoss<double, L2Residual>;
template struct kernel::RobustLoss<float, HalfL2Residual>;
template struct kernel::RobustLoss<double, HalfL2Residual>;
template struct kernel::RobustLoss<float, L1Residual>;
template struct kernel::RobustLoss<double, L1Residual>;
template struct kernel::RobustLoss<float, Charbonnier>;
template struct kernel::RobustLoss<double, Charbonnier>;
template struct kernel::RobustLoss<float, PseudoHuber>;
template struct kernel::RobustLoss<double, PseudoHuber>;
template struct kernel::RobustLoss<float, PseudoHuberScaled>;
template struct kernel::RobustLoss<double, PseudoHuberScaled>;
template struct kernel::RobustLoss<float, Cauchy>;
template struct kernel::RobustLoss<double, Cauchy>;
template struct kernel::RobustLoss<float, Huber>;
template struct kernel::RobustLoss<double, Huber>;
template struct kernel::RobustLoss<float, SmoothL1>;
template struct kernel::RobustLoss<double, SmoothL1>;
template struct kernel::RobustLoss<float, Welsch>;
template struct kernel::RobustLoss<double, Welsch>;
template struct kernel::RobustLoss<float, GemanMcClure>;
template struct kernel::RobustLoss<double, GemanMcClure>;
template struct kernel::RobustLoss<float, Barron>;
template struct kernel::RobustLoss<double, Barron>;
#endif

} // namespace temper::inline TEMPER_ABI
