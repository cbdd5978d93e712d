// SPDX-License-Identifier: BSL-1.0
#pragma once

// Gradients without their part along the weights (OrthoGrad). After a network fits its training data,
// softmax cross-entropy goes on falling by growing the weights alone; this direction is taken out, and a
// network that would have collapsed numerically groks.
//
//   p = g - (<w, g> / (<w, w> + epsilon)) w                         for each tensor on its own
//   g' = p |g| / (|p| + epsilon)                                    where rescale, else p
//
// Before the optimiser's step. The paper has the projection, the authors' code the rescaling as well. Takes
// tensors(w1, b1, ...) and tensors(g1, ...), or one tensor of each; may write onto the gradients. Where w
// is 0, or its square next to nothing beside epsilon, the gradient stays. Where g is parallel to w, p is what rounding leaves of it, and rescaling would
// blow that up: g' is 0 for |p| <= 4 eps |g|, eps the scalar type's, and for |p| < min_ratio |g|. Throws
// ShapeError; RangeError for a negative epsilon or min_ratio.
// Prieto et al., Grokking at the Edge of Numerical Stability (2025).

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

struct PerpendicularGradient {
    static constexpr std::string_view name = "PerpendicularGradient";
    static constexpr bool measures = true;
    static constexpr bool changes_gradients = true;
    bool rescale = true;
    double epsilon = 1e-30;
    double min_ratio = 0;

    /// (parameters, gradients, into(projected))
    template <class W, class G, class D>
    void apply(const W& parameters, const G& gradients, const D& projected) const;

    // In a chain.
    template <class T>
    void check(const NoState&, const StepTensors<T>&) const
    {
        check();
    }
    template <class T>
    auto begin(NoState&, const StepTensors<T>& tensors) const;

    friend bool operator==(const PerpendicularGradient&, const PerpendicularGradient&) = default;

  private:
    void check() const
    {
        require(epsilon >= 0, name, "epsilon", epsilon, "non-negative");
        require(min_ratio >= 0, name, "min_ratio", min_ratio, "non-negative");
    }
};
using OrthoGrad = PerpendicularGradient;

namespace kernel {
template <class T>
struct PerpendicularGradient {
    static constexpr bool moves_weights = false;
    static constexpr bool changes_gradients = true;
    double along = 0; ///< g' = scale (g - along w)
    double scale = 1;
    std::array<T*, 0> arrays{};

    template <class V>
    void operator()(const V& w, V& g, V*) const
    {
        g = fma(V(-along), w, g) * V(scale);
    }
    void run(const StepEntries<T>& e) const;
    static PerpendicularGradient measure(const temper::PerpendicularGradient& how,
                                         const AnyView<const T>& w, const AnyView<const T>& g);
    void apply(const AnyView<const T>& w, const AnyView<const T>& g,
               const AnyDestination<T>& out) const;
};
} // namespace kernel

template <class W, class G, class D>
void PerpendicularGradient::apply(const W& parameters, const G& gradients, const D& projected) const
{
    using T = ListScalarOf<const G>;
    Border<T> border(name);
    check();
    const auto w = border.list("parameters", as_list(parameters));
    const auto g = border.list("gradients", as_list(gradients));
    same_shapes<T>(name, "parameters", w, "gradients", g);
    const auto out = border.gradient("gradients", g, projected, InPlace::allowed);
    for (std::size_t i = 0; i < g.size(); ++i)
        if (out[i])
            kernel::PerpendicularGradient<T>::measure(*this, w[i], g[i]).apply(w[i], g[i], out[i]);
    border.finish();
}

template <class T>
auto PerpendicularGradient::begin(NoState&, const StepTensors<T>& tensors) const
{
    using Formula = kernel::PerpendicularGradient<T>;
    const auto n = static_cast<Index>(tensors.all.size());
    auto* const by = tensors.scratch->template take<Formula>(n);
    for (const StepEntries<T>& e : tensors.all)
        by[e.tensor] = Formula::measure(*this, e.weights, e.gradients);
    return [by](const StepEntries<T>& e) { return by[e.tensor]; };
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
struct PairSums {
    double ww = 0;
    double wg = 0;
    double gg = 0;
};
/// All three from one reading of memory, where the tensors are walked alike.
template <class T>
[[nodiscard]] PairSums pair_sums(const AnyView<const T>& w, const AnyView<const T>& g)
{
    const auto square = [](auto x) { return x * x; };
    const auto product = [](auto x, auto y) { return x * y; };
    if (!stored_flat(w) || !stored_alike(w, g))
        return {simd::map_sum(simd::in(w), simd::none<T>(), square),
                simd::map_sum(simd::in(w, g), simd::none<T>(), product),
                simd::map_sum(simd::in(g), simd::none<T>(), square)};
    const Blocks blocks{w.size(), 4096};
    return parallel_fold(
        blocks, w.size(), PairSums{},
        [&](Index begin, Index end) {
            PairSums sum;
            for (; begin < end; begin += blocks.size) {
                const Index n = (std::min)(end - begin, blocks.size);
                const simd::Source<T> x{w.data + begin, 1};
                const simd::Source<T> y{g.data + begin, 1};
                sum.ww += simd::squared_norm(n, x);
                sum.wg += simd::dot(n, x, y);
                sum.gg += simd::squared_norm(n, y);
            }
            return sum;
        },
        [](PairSums a, PairSums b) { return PairSums{a.ww + b.ww, a.wg + b.wg, a.gg + b.gg}; });
}
/// 1, or the largest entry of v where the sum of its squares has left the range of T.
template <class T>
[[nodiscard]] double unit_for(double squares, const AnyView<const T>& v, double margin)
{
    constexpr auto smallest = static_cast<double>((std::numeric_limits<T>::min)());
    if (v.size() == 0 || std::isnan(squares) ||
        (std::isfinite(squares) && squares >= margin * smallest)) [[likely]]
        return 1;
    const T largest = simd::map_max(simd::in(v), [](auto x) { return abs(x); });
    return largest > 0 && std::isfinite(largest) ? static_cast<double>(largest) : 1;
}
} // namespace detail

template <class T>
auto kernel::PerpendicularGradient<T>::measure(const temper::PerpendicularGradient& how,
                                               const AnyView<const T>& w, const AnyView<const T>& g)
    -> PerpendicularGradient
{
    const detail::PairSums sum = detail::pair_sums(w, g);
    if (const double unit = detail::unit_for(sum.ww, w, 0),
        units = detail::unit_for(sum.gg, g, 1e8);
        unit != 1 || units != 1) [[unlikely]] {
        Workspace::Frame frame;
        const auto x = stored_like(frame.take<T>(w.size()), w);
        const auto dx = stored_like(frame.take<T>(g.size()), g);
        const auto divided = [](const AnyView<const T>& from, const AnyView<T>& to, double by) {
            simd::map(simd::in(from), simd::out(AnyDestination<T>{to, 1, Mode::overwrite}),
                      [by](auto v, auto& u) { u = v / decltype(v)(by); });
        };
        divided(w, x, unit);
        divided(g, dx, units);
        const PerpendicularGradient by = measure(how, x, dx);
        return {by.along * units / unit, by.scale};
    }
    const double divisor = sum.ww + how.epsilon;
    const double along = divisor == 0 ? 0 : sum.wg / divisor;
    if (!how.rescale && how.min_ratio == 0)
        return {along, 1};
    // |p|^2 in closed form, unless next to nothing is left of g: then its digits are gone.
    double square = sum.gg - along * (2 * sum.wg - along * sum.ww);
    if (!(square > 0.1 * sum.gg))
        square = simd::map_sum(simd::in(w, g), simd::none<T>(), [along](auto x, auto dx) {
            const auto p = fma(decltype(x)(-along), x, dx);
            return p * p;
        });
    const double before = std::sqrt(sum.gg);
    const double after = std::sqrt(square);
    constexpr double rounding = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
    if (after <= rounding * before || after < how.min_ratio * before)
        return {along, 0};
    return {along, how.rescale ? before / (after + how.epsilon) : 1};
}

template <class T>
void kernel::PerpendicularGradient<T>::apply(const AnyView<const T>& w, const AnyView<const T>& g,
                                             const AnyDestination<T>& out) const
{
    simd::map(simd::in(w, g), simd::out(out), [formula = *this](auto x, auto dx, auto& y) {
        y = dx;
        formula(x, y, &y); // nothing is remembered
    });
}
template <class T>
void kernel::PerpendicularGradient<T>::run(const StepEntries<T>& e) const
{
    run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::PerpendicularGradient);

} // namespace temper::inline TEMPER_ABI
#endif
