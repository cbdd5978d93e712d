// SPDX-License-Identifier: BSL-1.0
#pragma once

// REPA's training step: the velocity that a diffusion transformer predicts, and its hidden tokens beside those
// of a frozen encoder of the clean image.
//
//   path   x_t, the network's input             L = velocity(pred) + lambda projection(projected, target)
//
// x0, noise, pred [n, ...], t [n] uniform on [0, 1], projected and target [n, T, d], or lists of them for
// several encoders. velocity is InterpolantVelocityLoss, projection RepaProjection, the head in between
// RepaProjector. lambda is 0.5 throughout in the paper; later practice lets it end, which is a schedule's
// business: RepaObjective{.lambda = schedule(step)}. AdamW with 1e-4 and no decay, gradients clipped to 1,
// an average of the weights with 0.9999. Both terms are returned without lambda, also where it is 0.
// Throws as its parts do, before anything is written.
// Yu et al., Representation alignment for generation: training diffusion transformers is easier than you
// think (2025).

#include <temper/diffusion/interpolant_velocity_loss.hpp>
#include <temper/representation/repa_projection.hpp>

namespace temper::inline TEMPER_ABI {

struct RepaTerms {
    double value = 0;
    double velocity = 0;
    double projection = 0;
};

struct RepaObjective {
    static constexpr std::string_view name = "RepaObjective";
    double lambda = 0.5;
    InterpolantVelocityLoss velocity{};
    RepaProjection projection{};

    /// (x0, noise, t, into(x_t) [, into(v)])
    template <class X, class Z, class L, class... Rest>
    void path(const X& x0, const Z& noise, const L& t, const Rest&... rest) const
    {
        velocity.path(x0, noise, t, rest...);
    }
    /// (x0, noise, t, pred, projected, target [, into(g_pred), into(g_projected)])
    template <class X, class Z, class L, class F, class P, class Y, class... Rest>
    RepaTerms operator()(const X& x0, const Z& noise, const L& t, const F& pred, const P& projected,
                         const Y& target, const Rest&... rest) const
    {
        accept<2>(rest...);
        check(x0, noise, t, pred, projected, rest...);
        RepaTerms terms;
        terms.projection = projection(
            projected, target, temper::detail::scaled_argument(positional<1>(rest...), lambda));
        terms.velocity = velocity(x0, noise, t, pred, positional<0>(rest...));
        terms.value = terms.velocity + lambda * terms.projection;
        return terms;
    }
    friend bool operator==(const RepaObjective&, const RepaObjective&) = default;

  private:
    /// What could be wrong with the velocity, before the projection writes.
    template <class X, class Z, class L, class F, class P, class... Rest>
    void check(const X& x0, const Z& noise, const L& t, const F& pred, const P& projected,
               const Rest&... rest) const
    {
        using T = KernelScalarOf<X, Z, F>;
        Border<T> border(name);
        const auto x = temper::detail::batch(border, "x0", x0);
        const auto z = border.sample_tensor("noise", noise);
        const auto f = border.sample_tensor("pred", pred);
        border.same_shape("noise", z, "x0", x);
        border.same_shape("pred", f, "x0", x);
        (void)noise_levels(border, "t", t, x.extent(0),
                           [&](double time) { (void)velocity.at(time); });
        (void)border.sample_gradient("pred", f, positional<0>(rest...));
        if constexpr (TensorList<P>)
            (void)border.gradient("projected", border.list("projected", projected),
                                  positional<1>(rest...));
        else
            (void)border.gradient("projected", border.tensor("projected", projected),
                                  positional<1>(rest...));
    }
};

} // namespace temper::inline TEMPER_ABI
