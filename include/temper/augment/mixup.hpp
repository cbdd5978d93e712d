// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mixup: convex combinations of samples and of their labels. CutMix and every other mixer is the same
// host with other policies (mix_policies.hpp).
//
//   linear   m_i = l_i x_i + (1 - l_i) x_p(i)          boxes   m_i = x_i, but x_p(i) inside the box
//   labels   t_i = l'_i y_i + (1 - l'_i) y_p(i)
//   pullback g_i = l_i c_i + sum over j with p(j) = i of (1 - l_j) c_j      (inside boxes likewise)
//
// x [n, ...] of any rank, or two batches x_a, x_b of one shape (row i of the first is mixed with row
// p(i) of the second); t [n, k]; c the gradient of m. The plan is drawn once and used for inputs, labels
// and pullback alike, so they cannot be permuted differently; it works on hidden features as on inputs.
// Paper: lambda ~ Beta(alpha, alpha), one for the batch (.per_sample: one each), partners a random
// permutation. n = 1 and lambda = 1 change nothing; alpha <= 0 means lambda = 1. An empty batch is fine.
// Throws ShapeError; RangeError for a plan of other size, partners outside the batch, unknown labels.
// Zhang et al., mixup: Beyond Empirical Risk Minimization (2018).

#include <temper/augment/mix_policies.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {
template <class T>
struct Mixing {
    static void apply(const MixPlan& plan, const AnyView<const T>& a, const AnyView<const T>& b,
                      const AnyDestination<T>& out);
    /// Gradients of the first and of the second batch; those of one batch are the sum of both.
    static void pullback_first(const MixPlan& plan, const AnyView<const T>& gm,
                               const AnyDestination<T>& ga);
    static void pullback_second(const MixPlan& plan, const AnyView<const T>& gm,
                                const AnyDestination<T>& gb);
};
} // namespace kernel

/// What all mixers do with a plan.
namespace mixing {

[[nodiscard]] inline bool inside(const Box& box, ImageSize image)
{
    return box.top >= 0 && box.left >= 0 && box.bottom <= image.height &&
           box.right <= image.width &&
           (box.area() == 0 || (box.top < box.bottom && box.left < box.right));
}

template <class T>
void check(const Border<T>& border, const MixPlan& plan, const AnyView<const T>& x)
{
    const Index n = x.rank == 0 ? 0 : x.extents[0];
    const auto one_or_n = [n](std::size_t size) {
        return size == 1 || static_cast<Index>(size) == n;
    };
    border.require(plan.size() == n, "plan", static_cast<double>(plan.size()),
                   "of the batch's size");
    border.require(one_or_n(plan.lambda.size()) || n == 0, "plan.lambda.size()",
                   static_cast<double>(plan.lambda.size()), "1 or the batch's size");
    border.require(one_or_n(plan.label_lambda.size()) || plan.label_lambda.empty(),
                   "plan.label_lambda.size()", static_cast<double>(plan.label_lambda.size()),
                   "0, 1 or the batch's size");
    border.require(one_or_n(plan.boxes.size()) || plan.boxes.empty(), "plan.boxes.size()",
                   static_cast<double>(plan.boxes.size()), "0, 1 or the batch's size");
    for (const Index partner : plan.partner)
        border.require(partner >= 0 && partner < n, "plan.partner", static_cast<double>(partner),
                       "a row of the batch");
    if (plan.boxes.empty())
        return;
    const auto [h, w] = plan.image;
    const bool is_image = x.rank >= 3 && x.extent(x.rank - 2) == h && x.extent(x.rank - 1) == w;
    const bool is_row = x.rank == 2 && h * w > 0 && x.extent(1) % (h * w) == 0;
    if (!is_image && !is_row)
        fail<ShapeError>(border.component(), "x", joined({"has shape ", shape_text(x)}),
                         joined({"images of ", text(h), " x ", text(w), " as the plan's"}));
    for (const Box& box : plan.boxes)
        border.require(inside(box, plan.image), "plan.boxes", static_cast<double>(box.bottom),
                       "inside the image");
    border.require(plan.sources.empty() || plan.sources.size() == plan.boxes.size(),
                   "plan.sources.size()", static_cast<double>(plan.sources.size()),
                   "0 or as many as boxes");
    for (std::size_t i = 0; i < plan.sources.size(); ++i) {
        const Box& box = plan.boxes[i];
        const Box& source = plan.sources[i];
        border.require(inside(source, plan.image) &&
                           source.bottom - source.top == box.bottom - box.top &&
                           source.right - source.left == box.right - box.left,
                       "plan.sources", static_cast<double>(source.bottom),
                       "inside the image, and as large as its box");
    }
}

template <class C, class P, class B, class L, class G>
void draw(const C& coefficient, const P& pairing, const B& blend, const L& label_rule,
          bool per_sample, G& rng, Index n, ImageSize image, MixPlan& plan)
{
    static_assert(MixCoefficient<C>, "temper: the coefficient slot of Mixup needs "
                                     "`double operator()(rng) const`");
    static_assert(MixPairing<P>, "temper: the pairing slot of Mixup needs "
                                 "`void operator()(rng, std::span<Index> partner) const`");
    static_assert(MixBlend<B>, "temper: the blend slot of Mixup needs "
                               "`void operator()(rng, MixPlan& plan) const`");
    static_assert(MixLabelRule<L>, "temper: the label slot of Mixup needs "
                                   "`void operator()(rng, MixPlan& plan) const`");
    require(n >= 0, "Mixup", "n", static_cast<double>(n), "non-negative");
    plan.image = image;
    plan.boxes.clear();
    plan.sources.clear();
    plan.lambda.resize(per_sample ? static_cast<std::size_t>(n) : 1);
    for (double& lambda : plan.lambda)
        lambda = coefficient(rng);
    plan.partner.resize(static_cast<std::size_t>(n));
    pairing(rng, std::span<Index>(plan.partner));
    blend(rng, plan);
    label_rule(rng, plan);
}

template <class A, class B, class D>
void apply(std::string_view name, const MixPlan& plan, const A& a, const B& b, const D& out)
{
    using T = KernelScalarOf<A, B>;
    Border<T> border(name);
    const auto xa = border.sample_tensor("x_a", a);
    const auto xb = border.sample_tensor("x_b", b);
    border.same_shape("x_b", xb, "x_a", xa);
    check(border, plan, xa);
    const auto to = border.sample_gradient("x_a", xa, out);
    kernel::Mixing<T>::apply(plan, xa, xb, to);
    border.finish();
}

template <class Gm, class... Rest>
void pullback(std::string_view name, const MixPlan& plan, const Gm& gm, bool two_batches,
              const Rest&... rest)
{
    using T = KernelScalarOf<Gm>;
    Border<T> border(name);
    const auto c = border.sample_tensor("the gradient of the mixture", gm);
    check(border, plan, c);
    auto ga = border.sample_gradient("x_a", c, positional<0>(rest...));
    const auto gb = border.sample_gradient("x_b", c, positional<1>(rest...));
    kernel::Mixing<T>::pullback_first(plan, c, ga);
    if (!two_batches) {
        ga.mode = ga ? Mode::add : Mode::discard;
        kernel::Mixing<T>::pullback_second(plan, c, ga);
    }
    else
        kernel::Mixing<T>::pullback_second(plan, c, gb);
    border.finish();
}

/// Mixed class distributions [n, k] from class indices or from distributions of n samples. Row i is
/// mix(i, of), where of(j) is the label of sample j as a number of its distribution.
template <class Y, class D, class Mix>
void blend_labels(std::string_view name, const Y& y, Index n, Index k, const D& out, const Mix& mix)
{
    static_assert(is_labels<Y> || is_probabilities<Y>,
                  "temper: labels are mixed from labels(y) or probabilities(p)");
    static_assert(is_destination<D>, "temper: mixed labels need a destination");
    if constexpr (!std::is_same_v<D, Discard>) {
        using T =
            typename detail::KernelScalar<std::remove_pointer_t<decltype(out.view.data)>>::type;
        Border<T> border(name);
        MatrixView<const T> p{};
        const std::int64_t* classes = nullptr;
        if constexpr (is_labels<Y>)
            classes = border.labels("labels", y, n, k);
        else {
            p = border.samples("probabilities", y.view);
            if (y.turned)
                p = p.transposed();
            border.expect_shape("probabilities", p, {n, k}, "a distribution for each sample");
        }
        const auto t = border.template output<2>("mixed labels", out, {n, k});
        for (Index i = 0; t && i < n; ++i)
            for (Index c = 0; c < k; ++c) {
                const auto of = [&](Index j) {
                    return classes != nullptr ? (classes[j] == c ? 1.0 : 0.0)
                                              : static_cast<double>(p(j, c));
                };
                t.put(t.view(i, c), static_cast<T>(mix(i, of)));
            }
        border.finish();
    }
}

template <class Y, class D>
void mix_labels(std::string_view name, const MixPlan& plan, const Y& y, Index k, const D& out)
{
    const Index n = plan.size();
    plan.check(name, n);
    blend_labels(name, y, n, k, out, [&](Index i, const auto& of) {
        const double l = plan.label_lambda_of(i);
        return l * of(i) + (1 - l) * of(plan.partner[static_cast<std::size_t>(i)]);
    });
}

} // namespace mixing

/// The host of four policies. Those of the default are the paper's; with the paper's coefficient the
/// host has `.alpha` instead of `.coefficient`.
template <class Coefficient = BetaCoefficient, class Pairing = ShuffledPairs,
          class Blend = LinearBlend, class LabelRule = SameLabels>
struct Mixup {
    static constexpr std::string_view name = "Mixup";
    Coefficient coefficient{};
    Pairing pairing{};
    Blend blend{};
    LabelRule label_rule{};
    bool per_sample = false;

    /// A plan for n samples; blends of images want {height, width}.
    template <class G>
    [[nodiscard]] MixPlan draw(G& rng, Index n, ImageSize image = {}) const
    {
        MixPlan plan;
        draw(rng, n, plan, image);
        return plan;
    }
    /// The same into a plan of former use, without allocating.
    template <class G>
    void draw(G& rng, Index n, MixPlan& plan, ImageSize image = {}) const
    {
        mixing::draw(coefficient, pairing, blend, label_rule, per_sample, rng, n, image, plan);
    }
    /// (plan, x, into(m)) or (plan, x_a, x_b, into(m))
    template <class A, class D>
    void apply(const MixPlan& plan, const A& x, const D& out) const
    {
        mixing::apply(name, plan, x, x, out);
    }
    template <class A, class B, class D>
    void apply(const MixPlan& plan, const A& a, const B& b, const D& out) const
    {
        mixing::apply(name, plan, a, b, out);
    }
    /// (plan, gm, into(gx)) or (plan, gm, into(ga), into(gb))
    template <class Gm, class D, class... Second>
    void pullback(const MixPlan& plan, const Gm& gm, const D& gx, const Second&... second) const
    {
        mixing::pullback(name, plan, gm, sizeof...(Second) > 0, gx, second...);
    }
    /// (plan, labels(y) or probabilities(p), k, into(t))
    template <class Y, class D>
    void mix_labels(const MixPlan& plan, const Y& y, Index k, const D& out) const
    {
        mixing::mix_labels(name, plan, y, k, out);
    }
    friend bool operator==(const Mixup&, const Mixup&) = default;
};

template <class Pairing, class Blend, class LabelRule>
struct Mixup<BetaCoefficient, Pairing, Blend, LabelRule> {
    static constexpr std::string_view name = "Mixup";
    double alpha = 1;
    Pairing pairing{};
    Blend blend{};
    LabelRule label_rule{};
    bool per_sample = false;

    template <class G>
    [[nodiscard]] MixPlan draw(G& rng, Index n, ImageSize image = {}) const
    {
        MixPlan plan;
        draw(rng, n, plan, image);
        return plan;
    }
    template <class G>
    void draw(G& rng, Index n, MixPlan& plan, ImageSize image = {}) const
    {
        mixing::draw(BetaCoefficient{alpha}, pairing, blend, label_rule, per_sample, rng, n, image,
                     plan);
    }
    template <class A, class D>
    void apply(const MixPlan& plan, const A& x, const D& out) const
    {
        mixing::apply(name, plan, x, x, out);
    }
    template <class A, class B, class D>
    void apply(const MixPlan& plan, const A& a, const B& b, const D& out) const
    {
        mixing::apply(name, plan, a, b, out);
    }
    template <class Gm, class D, class... Second>
    void pullback(const MixPlan& plan, const Gm& gm, const D& gx, const Second&... second) const
    {
        mixing::pullback(name, plan, gm, sizeof...(Second) > 0, gx, second...);
    }
    template <class Y, class D>
    void mix_labels(const MixPlan& plan, const Y& y, Index k, const D& out) const
    {
        mixing::mix_labels(name, plan, y, k, out);
    }
    friend bool operator==(const Mixup&, const Mixup&) = default;
};

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace mixing {

/// Sample i of [n, ...], without the first axis.
template <class V>
V sample(V x, Index i)
{
    x.data += i * x.strides[0];
    for (int d = 1; d < x.rank; ++d) {
        x.extents[place(d - 1)] = x.extents[place(d)];
        x.strides[place(d - 1)] = x.strides[place(d)];
    }
    --x.rank;
    x.extents[place(x.rank)] = 1;
    x.strides[place(x.rank)] = 0;
    return x;
}
/// Do the entries of a sample lie one after the other?
template <class V>
bool has_dense_samples(const V& x)
{
    Index dense = 1;
    for (int d = x.rank - 1; d > 0; dense *= x.extent(d--))
        if (x.stride(d) != dense)
            return false;
    return true;
}
/// A box of an image [..., h, w], or of a row of c h w entries.
template <class V>
V box_of(V x, const Box& box, ImageSize image)
{
    if (x.rank == 1) {
        const Index step = x.strides[0];
        const auto [h, w] = image;
        const Index channels = x.extents[0] / (h * w);
        x.rank = 3;
        x.extents = {channels, h, w, 1, 1, 1};
        x.strides = {h * w * step, w * step, step, 0, 0, 0};
    }
    const auto row = place(x.rank - 2);
    const auto col = place(x.rank - 1);
    x.data += box.top * x.strides[row] + box.left * x.strides[col];
    x.extents[row] = box.bottom - box.top;
    x.extents[col] = box.right - box.left;
    return x;
}
template <class T>
AnyDestination<T> at(const AnyView<T>& v, const AnyDestination<T>& like, double factor = 1)
{
    return {v, like.scale * factor, like.mode};
}
template <class T>
AnyDestination<T> adding(AnyDestination<T> d)
{
    d.mode = Mode::add;
    return d;
}
template <class T>
void copy(const AnyView<const T>& from, const AnyDestination<T>& to)
{
    simd::map(simd::in(from), simd::out(to), [](auto x, auto& y) { y = x; });
}
/// Where each of n rows stands in a list of rows, so that each row of a gradient is gathered by one
/// thread in a fixed order.
struct Uses {
    Index* first;
    Index* places;

    Uses(Workspace::Frame& frame, std::span<const Index> list, Index n)
        : first(frame.take_zeros<Index>(n + 2)),
          places(frame.take<Index>(static_cast<Index>(list.size())))
    {
        for (const Index row : list)
            ++first[row + 2];
        for (Index i = 2; i <= n; ++i)
            first[i] += first[i - 1];
        for (std::size_t j = 0; j < list.size(); ++j)
            places[first[list[j] + 1]++] = static_cast<Index>(j);
    }
    [[nodiscard]] std::span<const Index> of(Index row) const
    {
        return {places + first[row], places + first[row + 1]};
    }
};
/// Calls body(i) for all samples, in parallel.
template <class T, class Body>
void each_sample(const AnyView<const T>& x, const Body& body)
{
    const Index n = x.extents[0];
    const auto blocks = simd::row_blocks(n, n == 0 ? 1 : x.size() / n);
    parallel_for(blocks.count(), x.size(), [&](Index b) {
        for (Index i = blocks.begin(b); i < blocks.end(b); ++i)
            body(i);
    });
}

} // namespace mixing

template <class T>
void kernel::Mixing<T>::apply(const MixPlan& plan, const AnyView<const T>& a,
                              const AnyView<const T>& b, const AnyDestination<T>& out)
{
    using namespace mixing;
    if (!out || a.size() == 0)
        return;
    const auto blend = [](double l) {
        return [l](auto x, auto p, auto& m) {
            using V = decltype(x);
            m = fma(V(l), x, V(1 - l) * p);
        };
    };
    if (plan.boxes.empty() && has_dense_samples(a) && has_dense_samples(b) &&
        has_dense_samples(out.view)) {
        const Index d = a.size() / a.extents[0];
        each_sample(a, [&](Index i) {
            const Index partner = plan.partner[static_cast<std::size_t>(i)];
            simd::row_map(d,
                          std::array{simd::source(a.data + i * a.strides[0]),
                                     simd::source(b.data + partner * b.strides[0])},
                          std::array{simd::Sink<T>{out.view.data + i * out.view.strides[0], 1,
                                                   static_cast<T>(out.scale), out.mode}},
                          blend(plan.lambda_of(i)));
        });
        return;
    }
    each_sample(a, [&](Index i) {
        const auto own = sample(a, i);
        const auto other = sample(b, plan.partner[static_cast<std::size_t>(i)]);
        const auto to = sample(out.view, i);
        if (plan.boxes.empty()) {
            simd::map(simd::in(own, other), simd::out(at(to, out)), blend(plan.lambda_of(i)));
            return;
        }
        const Box& box = plan.box_of(i);
        for (const Box& rest : outside(box, plan.image))
            copy(box_of(own, rest, plan.image), at(box_of(to, rest, plan.image), out));
        copy(box_of(other, plan.source_of(i), plan.image), at(box_of(to, box, plan.image), out));
    });
}

template <class T>
void kernel::Mixing<T>::pullback_first(const MixPlan& plan, const AnyView<const T>& gm,
                                       const AnyDestination<T>& ga)
{
    using namespace mixing;
    if (!ga || gm.size() == 0)
        return;
    each_sample(gm, [&](Index i) {
        const auto c = sample(gm, i);
        const auto to = sample(ga.view, i);
        if (plan.boxes.empty()) {
            copy(c, at(to, ga, plan.lambda_of(i)));
            return;
        }
        const Box& box = plan.box_of(i);
        for (const Box& rest : outside(box, plan.image))
            copy(box_of(c, rest, plan.image), at(box_of(to, rest, plan.image), ga));
        if (!ga.adds())
            simd::map(simd::in(box_of(c, box, plan.image)),
                      simd::out(at(box_of(to, box, plan.image), ga)),
                      [](auto x, auto& y) { y = decltype(x)(0); });
    });
}

template <class T>
void kernel::Mixing<T>::pullback_second(const MixPlan& plan, const AnyView<const T>& gm,
                                        const AnyDestination<T>& gb)
{
    using namespace mixing;
    if (!gb || gm.size() == 0)
        return;
    Workspace::Frame frame;
    const Uses uses(frame, plan.partner, plan.size());
    each_sample(gm, [&](Index i) {
        const auto to = sample(gb.view, i);
        if (!gb.adds())
            simd::map(simd::in(sample(gm, i)), simd::out(at(to, gb)),
                      [](auto x, auto& y) { y = decltype(x)(0); });
        for (const Index j : uses.of(i)) {
            const auto c = sample(gm, j);
            if (plan.boxes.empty())
                copy(c, adding(at(to, gb, 1 - plan.lambda_of(j))));
            else
                copy(box_of(c, plan.box_of(j), plan.image),
                     adding(at(box_of(to, plan.source_of(j), plan.image), gb)));
        }
    });
}

TEMPER_INSTANTIATE(kernel::Mixing);

} // namespace temper::inline TEMPER_ABI
#endif
