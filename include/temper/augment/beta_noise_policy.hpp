// SPDX-License-Identifier: BSL-1.0
#pragma once

// A policy that draws multiplicative noise masks for images (Policy Gradient-Driven Noise Mask), and the
// score-function gradient that trains it: each cell of a coarse grid is a Beta variable.
//
//   A = exp(a), B = exp(b)                       a, b raw parameters [n, cells], of a policy network
//   log p_ic = (A - 1) log m + (B - 1) log(1 - m) - log Beta(A, B)
//   d log p / da = A (log m - psi(A) + psi(A + B)),   d log p / db = B (log(1 - m) - psi(B) + psi(A + B))
//
//   reinforce   L = (1/n) sum_i (sum_c log p_ic) l_i             l held still
//   published   L = ((1/n) sum_i log sum_c p_ic) (1/n) sum_i l_i         with a gradient to l
//
// m masks [n, cells] drawn from the policy, which have no gradient; l losses [n] of the classifier on the
// masked images (noise_mask.hpp). Both forms are minimised: the policy seeks masks of LOW loss. The published
// code adds the densities of the cells before the logarithm, gives all images the batch's mean loss, and
// multiplies the classifier's own loss by a factor that may be negative, when the classifier climbs; its
// value is kept for comparison, reinforce is the score-function estimator. m is taken in [1e-6, 1 - 1e-6].
// draw(rng, a, b, into(m)). The parameters are smoothed by BetaNoiseBase. n = 0 or no cells: value 0.
// Throws ShapeError, RangeError (draw) where exp(a) or exp(b) is beyond 1e-300 .. 1e300.
// Yavuz and Yang, Policy Gradient-Driven Noise Mask (2024); Williams, Simple statistical
// gradient-following algorithms for connectionist reinforcement learning (1992).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

/// log p of each entry, [n, cells].
template <class D>
struct LogDensity {
    D destination;
};
template <class D>
[[nodiscard]] LogDensity<D> log_density(const D& destination)
{
    return {destination};
}

struct BetaNoisePolicy {
    static constexpr std::string_view name = "BetaNoisePolicy";
    enum class Form { reinforce, published };
    Form form = Form::reinforce;

    /// (rng, a, b, into(m))
    template <class G, class A, class B, class D>
    void draw(G& rng, const A& raw_alpha, const B& raw_beta, const D& mask) const
    {
        using T = KernelScalarOf<A, B>;
        Border<T> border(name);
        const auto a = border.samples("raw_alpha", raw_alpha);
        const auto b = border.samples("raw_beta", raw_beta);
        border.same_shape("raw_beta", b, "raw_alpha", a);
        const auto m = border.gradient("raw_alpha", a, mask);
        auto* drawn = border.scratch().template take<T>(a.size());
        for (Index i = 0; i < a.size(); ++i)
            drawn[i] = static_cast<T>(
                beta(rng, std::exp(static_cast<double>(a(i / a.cols(), i % a.cols()))),
                     std::exp(static_cast<double>(b(i / a.cols(), i % a.cols())))));
        for (Index i = 0; m && i < a.size(); ++i)
            m.put(m.view(i / a.cols(), i % a.cols()), drawn[i]);
        border.finish();
    }
    /// (a, b, m, l [, into(ga), into(gb), into(gl)] [, log_density(into(p))])
    template <class A, class B, class M, class L, class... Rest>
    double operator()(const A& raw_alpha, const B& raw_beta, const M& mask, const L& losses,
                      const Rest&... rest) const;

    friend bool operator==(const BetaNoisePolicy&, const BetaNoisePolicy&) = default;
};

/// The policy's smoothed parameters: raw = keep base + (1 - keep) net, where net is what the policy network
/// gives for an image [n, cells] and base a slow average of it over batches,
/// base <- momentum base + (1 - momentum) mean over the batch (observe). Published: 0.9 and 0.99.
struct BetaNoiseBase {
    static constexpr std::string_view name = "BetaNoiseBase";
    double keep = 0.9;
    double momentum = 0.99;

    struct State {
        std::vector<double> base; ///< [cells], 0 at first
        template <class Archive>
        void fields(Archive& a)
        {
            a("base", base);
        }
        friend bool operator==(const State&, const State&) = default;
    };
    [[nodiscard]] static State init(Index cells)
    {
        return {std::vector<double>(static_cast<std::size_t>(cells))};
    }
    template <class X>
    void observe(State& state, const X& net) const
    {
        using T = KernelScalarOf<X>;
        Border<T> border(name);
        const auto x = border.samples("net", net);
        border.expect_shape("net", x, {x.rows(), static_cast<Index>(state.base.size())},
                            "as the state");
        for (Index c = 0; x.rows() > 0 && c < x.cols(); ++c) {
            double mean = 0;
            for (Index i = 0; i < x.rows(); ++i)
                mean += static_cast<double>(x(i, c)) / static_cast<double>(x.rows());
            double& base = state.base[static_cast<std::size_t>(c)];
            base = momentum * base + (1 - momentum) * mean;
        }
    }
    /// (state, net, into(raw)); the pullback is a factor of 1 - keep.
    template <class X, class D>
    void forward(const State& state, const X& net, const D& raw) const
    {
        using T = KernelScalarOf<X>;
        Border<T> border(name);
        const auto x = border.samples("net", net);
        border.expect_shape("net", x, {x.rows(), static_cast<Index>(state.base.size())},
                            "as the state");
        const auto to = border.gradient("net", x, raw, InPlace::allowed);
        for (Index i = 0; to && i < x.rows(); ++i)
            for (Index c = 0; c < x.cols(); ++c)
                to.put(to.view(i, c),
                       static_cast<T>(keep * state.base[static_cast<std::size_t>(c)] +
                                      (1 - keep) * static_cast<double>(x(i, c))));
        border.finish();
    }
    friend bool operator==(const BetaNoiseBase&, const BetaNoiseBase&) = default;
};

namespace kernel {
template <class T>
struct BetaNoisePolicy {
    struct Inputs {
        MatrixView<const T> a, b, m;
        VectorView<const T> l;
    };
    struct Outputs {
        Destination<T, 2> ga, gb;
        Destination<T, 1> gl;
        Destination<T, 2> log_density;
    };
    static double run(bool reinforce, const Inputs& in, const Outputs& out);
};
} // namespace kernel

template <class A, class B, class M, class L, class... Rest>
double BetaNoisePolicy::operator()(const A& raw_alpha, const B& raw_beta, const M& mask,
                                   const L& losses, const Rest&... rest) const
{
    accept<3, LogDensity>(rest...);
    using T = KernelScalarOf<A, B, M, L>;
    Border<T> border(name);
    typename kernel::BetaNoisePolicy<T>::Inputs in;
    in.a = border.samples("raw_alpha", raw_alpha);
    in.b = border.samples("raw_beta", raw_beta);
    in.m = border.samples("mask", mask);
    border.same_shape("raw_beta", in.b, "raw_alpha", in.a);
    border.same_shape("mask", in.m, "raw_alpha", in.a);
    in.l = border.vector("losses", losses);
    border.expect_shape("losses", in.l, {in.a.rows()}, "as raw_alpha has rows");
    typename kernel::BetaNoisePolicy<T>::Outputs out;
    out.ga = border.gradient("raw_alpha", in.a, positional<0>(rest...));
    out.gb = border.gradient("raw_beta", in.b, positional<1>(rest...));
    out.gl = border.gradient("losses", in.l, positional<2>(rest...));
    out.log_density = border.template named_into<2>("log_density", named<LogDensity>(rest...),
                                                    {in.a.rows(), in.a.cols()});
    return border.finish(kernel::BetaNoisePolicy<T>::run(form == Form::reinforce, in, out));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>
#include <temper/core/special.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::BetaNoisePolicy<T>::run(bool reinforce, const Inputs& in, const Outputs& out)
{
    const Index n = in.a.rows();
    const Index cells = in.a.cols();
    if (n == 0)
        return 0;
    const auto rows = static_cast<double>(n);
    Workspace::Frame frame;
    auto* log_p = frame.take<double>(n * cells);
    auto* score = frame.take<double>(n); // what the losses are multiplied by
    const auto clamped = [](T m) {
        const auto x = static_cast<double>(m);
        return x < 1e-6 ? 1e-6 : x > 1 - 1e-6 ? 1 - 1e-6 : x;
    };
    parallel_for(n, n * cells * 64, [&](Index i) {
        double sum = 0;
        double most = -std::numeric_limits<double>::infinity();
        for (Index c = 0; c < cells; ++c) {
            const double a = std::exp(static_cast<double>(in.a(i, c)));
            const double b = std::exp(static_cast<double>(in.b(i, c)));
            const double m = clamped(in.m(i, c));
            const double p = (a - 1) * std::log(m) + (b - 1) * std::log1p(-m) - log_gamma(a) -
                             log_gamma(b) + log_gamma(a + b);
            log_p[i * cells + c] = p;
            sum += p;
            most = p > most || std::isnan(p) ? p : most;
        }
        score[i] = sum;
        if (!reinforce && cells > 0) {
            double densities = 0;
            for (Index c = 0; c < cells; ++c)
                densities += std::exp(log_p[i * cells + c] - most);
            score[i] = most + std::log(densities);
        }
    });
    double mean_score = 0;
    double mean_loss = 0;
    double value = 0;
    for (Index i = 0; i < n; ++i) {
        const auto l = static_cast<double>(in.l(i));
        mean_score += score[i] / rows;
        mean_loss += l / rows;
        value += score[i] * l / rows;
    }
    if (!reinforce)
        value = mean_score * mean_loss;
    parallel_for(n, n * cells * 64, [&](Index i) {
        for (Index c = 0; c < cells; ++c) {
            const double p = log_p[i * cells + c];
            const double strength = reinforce ? static_cast<double>(in.l(i)) / rows
                                              : std::exp(p - score[i]) * mean_loss / rows;
            if (out.log_density)
                out.log_density.put(out.log_density.view(i, c), static_cast<T>(p));
            if (!out.ga && !out.gb)
                continue;
            const double a = std::exp(static_cast<double>(in.a(i, c)));
            const double b = std::exp(static_cast<double>(in.b(i, c)));
            const double m = clamped(in.m(i, c));
            const double both = digamma(a + b);
            if (out.ga)
                out.ga.put(out.ga.view(i, c),
                           static_cast<T>(strength * a * (std::log(m) - digamma(a) + both)));
            if (out.gb)
                out.gb.put(out.gb.view(i, c),
                           static_cast<T>(strength * b * (std::log1p(-m) - digamma(b) + both)));
        }
        if (out.gl)
            out.gl.put(out.gl.view(i), static_cast<T>(reinforce ? 0 : mean_score / rows));
    });
    return value;
}

TEMPER_INSTANTIATE(kernel::BetaNoisePolicy);

} // namespace temper::inline TEMPER_ABI
#endif
