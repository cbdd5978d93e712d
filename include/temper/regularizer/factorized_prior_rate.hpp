// SPDX-License-Identifier: BSL-1.0
#pragma once

// The rate of a code under a density that is learned: for each channel a small monotone network gives the
// logit u of the cumulative distribution.
//
//   x <- softplus(H_1) x + b_1;  x <- x + tanh(a_1) tanh(x);  ...;  u = softplus(H_5) x + b_5
//   p_ij = S(u_j(z_ij + 1/2)) - S(u_j(z_ij - 1/2)),  bits_ij = -log2 max(p_ij, bound)
//   L = f sum_ij bits_ij                             f as LogisticRate
//
// Layers of 1, 3, 3, 3, 3 and 1 numbers, without a gate after the last. z [n, d], rounded, or with noise of
// [-1/2, 1/2) while training; parameters [d, 58], in a row those of a channel: of each layer H by rows, b, a.
// Both get gradients. init writes parameters of a density about `init_scale` wide: softplus(H) =
// init_scale^(-1/5) / rows of H, b uniform in [-1/2, 1/2), a = 0. bits(into(b)): [n, d]. n = 0: 0.
// Throws ShapeError; RangeError for a bound outside (0, 1) and init_scale <= 0.
// Balle et al., Variational image compression with a scale hyperprior (2018), as used by Matsubara, Yang,
// Levorato and Mandt, Supervised Compression for Resource-Constrained Edge Computing Systems (2022).

#include <temper/core/random.hpp>
#include <temper/regularizer/logistic_rate.hpp>

namespace temper::inline TEMPER_ABI {

struct FactorizedPriorRate {
    static constexpr std::string_view name = "FactorizedPriorRate";
    static constexpr std::array<Index, 6> widths{1, 3, 3, 3, 3, 1};
    /// Numbers of a channel's network.
    static constexpr Index parameters = 58;
    MeanOver mean_over = MeanOver::samples;
    double bound = 1e-9;
    bool pass_through = false;
    double init_scale = 10;

    /// (z, parameters [, into(gz), into(g_parameters)] [, bits(into(b))])
    template <class Z, class P, class... Rest>
    double operator()(const Z& z, const P& parameters, const Rest&... rest) const;
    /// (rng, into(parameters)), [d, 58]
    template <BitGenerator G, class D>
    void init(G& rng, const D& out) const;

    friend bool operator==(const FactorizedPriorRate&, const FactorizedPriorRate&) = default;
};

namespace kernel {
template <class T>
struct FactorizedPriorRate {
    static double run(const temper::FactorizedPriorRate& how, double factor, MatrixView<const T> z,
                      MatrixView<const T> parameters, const Destination<T, 2>& gz,
                      const Destination<T, 2>& g_parameters, const Destination<T, 2>& bits);
};
} // namespace kernel

template <class Z, class P, class... Rest>
double FactorizedPriorRate::operator()(const Z& z, const P& given, const Rest&... rest) const
{
    accept<2, Bits>(rest...);
    using T = KernelScalarOf<Z, P>;
    Border<T> border(name);
    border.require(bound > 0 && bound < 1, "bound", bound, "between 0 and 1");
    const auto zs = border.samples("z", z);
    const Index d = zs.cols();
    const auto p = border.matrix("parameters", given);
    border.expect_shape("parameters", p, {d, parameters}, "a row for each column of z");
    const auto gz = border.gradient("z", zs, positional<0>(rest...));
    const auto gp = border.stored_gradient("parameters", p, positional<1>(rest...));
    const auto b = border.template named_into<2>("bits", named<Bits>(rest...), {zs.rows(), d});
    return border.finish(kernel::FactorizedPriorRate<T>::run(
        *this, detail::rate_scale(mean_over, zs.rows(), d), zs, p, gz, gp, b));
}

template <BitGenerator G, class D>
void FactorizedPriorRate::init(G& rng, const D& out) const
{
    using T = std::remove_const_t<std::remove_pointer_t<decltype(out.view.data)>>;
    Border<T> border(name);
    border.require(init_scale > 0, "init_scale", init_scale, "positive");
    const auto to = border.template output<2>("parameters", out, {out.view.extent(0), parameters});
    const double steep = std::pow(init_scale, -1.0 / static_cast<double>(widths.size() - 1));
    for (Index channel = 0; to && channel < to.view.rows(); ++channel) {
        Index at = 0;
        const auto put = [&](double x) { to.put(to.view(channel, at++), static_cast<T>(x)); };
        for (std::size_t layer = 0; layer + 1 < widths.size(); ++layer) {
            const auto rows = static_cast<double>(widths[layer + 1]);
            for (Index i = 0; i < widths[layer] * widths[layer + 1]; ++i)
                put(std::log(std::expm1(steep / rows)));
            for (Index i = 0; i < widths[layer + 1]; ++i)
                put(uniform(rng) - 0.5);
            for (Index i = 0; layer + 2 < widths.size() && i < widths[layer + 1]; ++i)
                put(0);
        }
    }
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/regularizer/bin_rate.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// The network of one channel, on packs of samples.
template <class V>
struct ChannelNetwork {
    static constexpr std::size_t layers = FactorizedPriorRate::widths.size() - 1;
    static constexpr auto size = static_cast<std::size_t>(FactorizedPriorRate::parameters);
    static constexpr std::size_t width(std::size_t layer)
    {
        return static_cast<std::size_t>(FactorizedPriorRate::widths[layer]);
    }

    std::array<V, size> number{}; ///< softplus(H), b, tanh(a)
    std::array<V, size> slope{};  ///< of those by the parameters

    /// What a sample was on its way through.
    struct Trace {
        std::array<std::array<V, 3>, layers> before{}; ///< what a layer saw
        std::array<std::array<V, 3>, layers> gate{};   ///< tanh of what it made
    };

    template <class T>
    explicit ChannelNetwork(const VectorView<const T>& parameters)
    {
        std::size_t at = 0;
        const auto next = [&](const auto& f) {
            const auto [x, dx] = f(static_cast<double>(parameters(static_cast<Index>(at))));
            number[at] = V(x);
            slope[at++] = V(dx);
        };
        for (std::size_t l = 0; l < layers; ++l) {
            for (std::size_t i = 0; i < width(l) * width(l + 1); ++i)
                next([](double h) {
                    return std::pair{std::log1p(std::exp(-std::abs(h))) + (h > 0 ? h : 0),
                                     1 / (1 + std::exp(-h))};
                });
            for (std::size_t i = 0; i < width(l + 1); ++i)
                next([](double b) { return std::pair{b, 1.0}; });
            for (std::size_t i = 0; l + 1 < layers && i < width(l + 1); ++i)
                next([](double a) {
                    const double t = std::tanh(a);
                    return std::pair{t, 1 - t * t};
                });
        }
    }
    V forward(V x, Trace& trace) const
    {
        std::array<V, 3> now{x};
        std::size_t at = 0;
        for (std::size_t l = 0; l < layers; ++l) {
            trace.before[l] = now;
            const std::size_t bias = at + width(l) * width(l + 1);
            for (std::size_t o = 0; o < width(l + 1); ++o) {
                V y = number[bias + o];
                for (std::size_t i = 0; i < width(l); ++i)
                    y = fma(number[at + o * width(l) + i], trace.before[l][i], y);
                if (l + 1 < layers) {
                    trace.gate[l][o] = tanh(y);
                    y = fma(number[bias + width(l + 1) + o], trace.gate[l][o], y);
                }
                now[o] = y;
            }
            at = bias + width(l + 1) * (l + 1 < layers ? 2 : 1);
        }
        return now[0];
    }
    /// Adds to the gradient of the parameters; returns that of the input.
    V backward(V g, const Trace& trace, std::array<V, size>& gradient) const
    {
        std::array<V, 3> now{g};
        std::size_t end = size;
        for (std::size_t l = layers; l-- > 0;) {
            const bool gated = l + 1 < layers;
            const std::size_t out = width(l + 1);
            const std::size_t bias = end - out * (gated ? 2 : 1);
            const std::size_t at = bias - width(l) * out;
            std::array<V, 3> before{};
            for (std::size_t o = 0; o < out; ++o) {
                V y = now[o];
                if (gated) {
                    const V gate = trace.gate[l][o];
                    gradient[bias + out + o] += y * gate * slope[bias + out + o];
                    y = fma(y * number[bias + out + o], V(1) - gate * gate, y);
                }
                gradient[bias + o] += y;
                for (std::size_t i = 0; i < width(l); ++i) {
                    const std::size_t h = at + o * width(l) + i;
                    gradient[h] += y * trace.before[l][i] * slope[h];
                    before[i] = fma(y, number[h], before[i]);
                }
            }
            now = before;
            end = at;
        }
        return now[0];
    }
};

} // namespace detail

template <class T>
double kernel::FactorizedPriorRate<T>::run(const temper::FactorizedPriorRate& how, double factor,
                                           MatrixView<const T> z, MatrixView<const T> parameters,
                                           const Destination<T, 2>& gz,
                                           const Destination<T, 2>& g_parameters,
                                           const Destination<T, 2>& bits)
{
    using V = simd::Pack<T>;
    using Network = detail::ChannelNetwork<V>;
    const Index n = z.rows();
    constexpr Index count = temper::FactorizedPriorRate::parameters;
    const bool pulls = gz || g_parameters;
    return parallel_sum({z.cols(), 1}, z.size() * count, [&](Index channel, Index) {
        const Network network(parameters.row(channel));
        const auto column = [&](const Destination<T, 2>& d) {
            return d ? simd::Sink<T>{d.view.data + channel * d.view.strides[1], d.view.strides[0],
                                     static_cast<T>(d.scale), d.mode}
                     : simd::Sink<T>{};
        };
        const simd::Source<T> from = simd::source(z.col(channel));
        const auto to_bits = column(bits);
        const auto to_gz = column(gz);
        std::array<double, Network::size> gradient{};
        double total = 0;
        for (Index begin = 0; begin < n; begin += simd::detail::chunk) {
            std::array<V, Network::size> part{};
            part.fill(V(0));
            V sum(0);
            const Index end = (std::min)(n, begin + simd::detail::chunk);
            for (Index i = begin; i < end; i += V::size) {
                const Index live = (std::min)(V::size, end - i);
                const auto counts = V::lanes() < V(static_cast<T>(live));
                const V x = simd::detail::gather(from, i, live);
                typename Network::Trace below, above;
                const V lower = network.forward(x - V(0.5), below);
                const V upper = network.forward(x + V(0.5), above);
                const auto rate =
                    bin_rate(lower, upper, upper - lower, how.bound, how.pass_through);
                sum += select(counts, rate.bits, V(0));
                simd::detail::scatter(to_bits, i, live, rate.bits);
                if (!pulls)
                    continue;
                const auto of = [&](V slope) { return select(counts, V(factor) * slope, V(0)); };
                const V g = network.backward(of(rate.by_lower), below, part) +
                            network.backward(of(rate.by_upper), above, part);
                simd::detail::scatter(to_gz, i, live, g);
            }
            total += static_cast<double>(sum.sum());
            for (std::size_t p = 0; p < Network::size; ++p)
                gradient[p] += static_cast<double>(part[p].sum());
        }
        for (Index p = 0; g_parameters && p < count; ++p)
            g_parameters.put(g_parameters.view(channel, p),
                             static_cast<T>(gradient[static_cast<std::size_t>(p)]));
        return factor * total;
    });
}

TEMPER_INSTANTIATE(kernel::FactorizedPriorRate);

} // namespace temper::inline TEMPER_ABI
#endif
