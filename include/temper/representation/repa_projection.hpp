// SPDX-License-Identifier: BSL-1.0
#pragma once

// REPA: a diffusion transformer's hidden tokens, projected, turned to the tokens that frozen encoders make
// of the clean image.
//
//   RepaProjection  L = -(1 / E) sum_e mean over tokens of cos(t_e, p_e)
//   RepaNtXent      L = mean over tokens a of [ log sum_b exp(cos(t_a, p_b) / tau) - cos(t_a, p_a) / tau ]
//
// p projected, t target, [n, T, d] or of any rank with the vectors last; one pair, or lists of E pairs,
// tensors(p1, p2), each with a width of its own. The projection has the range [-1, 1]; the paper adds it with
// a factor of 0.5 (`0.5 * RepaProjection{}`), at all times t alike. The projector (RepaProjector) is trained
// along and dropped afterwards; its input is the hidden state of the NOISY image, block 8 of 28. Targets are
// patch tokens without the class token, as many as there are hidden tokens. A target held fixed gets no
// destination. A token no longer than epsilon gets no gradient, and a zero one, of p or t, has cosine 0.
// RepaNtXent: b runs over the tokens of the whole batch, or (Negatives::sample) of the same image; one token
// alone: 0. tau = 0.1 is ours, the paper does not say. Memory grows with tokens, not with their square.
// No tokens: 0. Throws ShapeError; RangeError for a negative epsilon, a temperature that is not positive.
// Yu et al., Representation alignment for generation: training diffusion transformers is easier than you
// think (2025).

#include <temper/core/flatten.hpp>
#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/info_nce.hpp>

namespace temper::inline TEMPER_ABI {

struct RepaProjection {
    static constexpr std::string_view name = "RepaProjection";
    double epsilon = 1e-12;

    /// (projected, target [, into(g_projected), into(g_target)]), tensors or lists of them
    template <class P, class Y, class... Rest>
    double operator()(const P& projected, const Y& target, const Rest&... rest) const;

    friend bool operator==(const RepaProjection&, const RepaProjection&) = default;
};

enum class Negatives { batch, sample };

struct RepaNtXent {
    static constexpr std::string_view name = "RepaNtXent";
    double temperature = 0.1;
    Negatives negatives = Negatives::batch;
    double epsilon = 1e-12;

    /// (projected, target [, into(g_projected), into(g_target)])
    template <class P, class Y, class... Rest>
    double operator()(const P& projected, const Y& target, const Rest&... rest) const;

    friend bool operator==(const RepaNtXent&, const RepaNtXent&) = default;
};

template <class P, class Y, class... Rest>
double RepaProjection::operator()(const P& projected, const Y& target, const Rest&... rest) const
{
    if constexpr (!TensorList<P>)
        return (*this)(std::array{AnyView<const ScalarOf<const P>>(view(projected))},
                       std::array{AnyView<const ScalarOf<const Y>>(view(target))}, rest...);
    else {
        accept<2>(rest...);
        using T = KernelScalarOf<decltype(std::span(projected)[0]), decltype(std::span(target)[0])>;
        Border<T> border(name);
        border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
        const auto ps = border.list("projected", projected);
        const auto ts = border.list("target", target);
        if (ps.size() != ts.size())
            fail<ShapeError>(name, "target",
                             joined({"has ", text(static_cast<Index>(ts.size())), " tensors"}),
                             joined({text(static_cast<Index>(ps.size())), " as projected"}));
        for (std::size_t e = 0; e < ps.size(); ++e) {
            if (ps[e].rank < 2)
                fail<ShapeError>(name, "projected", joined({"has shape ", shape_text(ps[e])}),
                                 "[n, ..., d]");
            border.same_shape("target", ts[e], "projected", ps[e]);
        }
        const auto gp = border.gradient("projected", ps, positional<0>(rest...));
        const auto gt = border.gradient("target", ts, positional<1>(rest...));
        double value = 0;
        for (std::size_t e = 0; e < ps.size(); ++e) {
            Flatten<T> flat(border);
            const int lead = ps[e].rank - 1;
            const auto p = flat.input(ps[e], lead);
            RowScale<T> scale = row_scale<T>(Reduction::mean, p.rows(), {});
            scale.factor /= static_cast<double>(ps.size());
            value += kernel::CosineAlignment<T>::run(
                CosineForm::negative, epsilon, p, flat.input(ts[e], lead), scale,
                flat.output(gp[e], lead), flat.output(gt[e], lead), {});
            flat.finish();
        }
        return border.finish(value);
    }
}

template <class P, class Y, class... Rest>
double RepaNtXent::operator()(const P& projected, const Y& target, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<P, Y>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto p = border.tensor("projected", projected);
    const auto t = border.tensor("target", target);
    if (p.rank < 2)
        fail<ShapeError>(name, "projected", joined({"has shape ", shape_text(p)}), "[n, ..., d]");
    border.same_shape("target", t, "projected", p);
    const auto gp = border.gradient("projected", p, positional<0>(rest...));
    const auto gt = border.gradient("target", t, positional<1>(rest...));
    Flatten<T> flat(border);
    const int lead = p.rank - 1;
    const auto rows = flat.input(p, lead);
    const auto targets = flat.input(t, lead);
    const auto to_rows = flat.output(gp, lead);
    const auto to_targets = flat.output(gt, lead);
    const InfoNce nce{.temperature = temperature, .epsilon = epsilon};
    const Index n = rows.rows();
    // A part of the batch at a time: all of it, or one sample.
    const Index part = negatives == Negatives::batch || n == 0 ? n : n / p.extent(0);
    const RowScale<T> scale = row_scale<T>(Reduction::mean, n, {});
    double value = 0;
    for (Index i = 0; i < n; i += part) {
        const auto some = [&](const auto& m) { return m.block(i, 0, part, m.cols()); };
        const auto some_of = [&](const Destination<T, 2>& d) {
            return d ? Destination<T, 2>{some(d.view), d.scale, d.mode} : d;
        };
        value += kernel::InfoNce<T>::run(nce, some(targets), some(rows), scale, some_of(to_targets),
                                         some_of(to_rows), {});
    }
    flat.finish();
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI
