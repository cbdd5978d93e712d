// SPDX-License-Identifier: BSL-1.0
#pragma once

// LatentSync's training step: predicted noise, and two frozen judges of the clip that it stands for.
//
//   noised     x_t = sqrt(ab_i) x0 + sqrt(1 - ab_i) noise                 one ab (one time) for each clip
//   estimate   x0_hat = (x_t - sqrt(1 - ab_i) eps) / sqrt(ab_i)
//   L = w_recon mean (eps - noise)^2 + w_sync sync(E_s(x0_hat), audio) + w_trepa trepa(E_t(x0_hat), E_t(x0))
//   dL/deps = 2 w_recon (eps - noise) / N - sqrt((1 - ab_i) / ab_i) (w_sync dsync + w_trepa dtrepa)/dx0_hat
//
// x0, noise, x_t, eps, x0_hat [n, frames, ...], ab [n], audio [n, d] embeddings. The judges are encoders as
// Alignment wants them, [n, ...] -> [n, d]; what is between latents and them (the decoder, resizing, the
// clamp to [0, 1], which stops the gradient of saturated pixels, the lower half for the lips) belongs into
// them. The published objective has 0.1 times a perceptual loss of the lower half as well: send its gradient
// by x0_hat through X0FromEps{}.pullback with add_to. Stage 1 trains everything with w_sync = w_trepa = 0,
// stage 2 the temporal modules and attentions with these weights. Noise comes from MixedTemporalNoise.
// A term with weight 0 is computed all the same, for the log. Throws as its parts do.
// Li et al., LatentSync: audio conditioned latent diffusion models for lip sync (2024).

#include <temper/diffusion/x0_from_eps.hpp>
#include <temper/representation/sync_cosine_bce.hpp>
#include <temper/representation/trepa.hpp>

namespace temper::inline TEMPER_ABI {

struct LatentSyncTerms {
    double value = 0; ///< with the weights
    double recon = 0; ///< without them
    double sync = 0;
    double trepa = 0;
};

struct LatentSyncObjective {
    static constexpr std::string_view name = "LatentSyncObjective";
    double w_recon = 1;
    double w_sync = 0.05;
    double w_trepa = 10;
    SyncCosineBce sync{};
    Trepa trepa{};

    /// (x0, alpha_bar, noise, into(x_t))
    template <class X, class L, class N, class D>
    void noised(const X& x0, const L& alpha_bar, const N& noise, const D& x_t) const
    {
        X0FromEps{}.noised(x0, alpha_bar, noise, x_t);
    }
    /// (x_t, alpha_bar, eps, into(x0_hat))
    template <class X, class L, class N, class D>
    void estimate(const X& x_t, const L& alpha_bar, const N& eps, const D& x0_hat) const
    {
        X0FromEps{}.forward(x_t, alpha_bar, eps, x0_hat);
    }
    /// (eps, noise, alpha_bar, x0_hat, x0, audio, sync_encoder, trepa_encoder [, into(g_eps)])
    template <class N, class Z, class L, class H, class X, class A, class S, class E, class... Rest>
    LatentSyncTerms operator()(const N& eps, const Z& noise, const L& alpha_bar, const H& x0_hat,
                               const X& x0, const A& audio, S& sync_encoder, E& trepa_encoder,
                               const Rest&... rest) const;

    friend bool operator==(const LatentSyncObjective&, const LatentSyncObjective&) = default;
};

template <class N, class Z, class L, class H, class X, class A, class S, class E, class... Rest>
LatentSyncTerms LatentSyncObjective::operator()(const N& eps, const Z& noise, const L& alpha_bar,
                                                const H& x0_hat, const X& x0, const A& audio,
                                                S& sync_encoder, E& trepa_encoder,
                                                const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<N, Z, H, X, A>;
    static_assert(FrameEncoder<S, T> && FrameEncoder<E, T>,
                  "temper: the encoder needs features(), forward(x, into(y)) and "
                  "pullback(x, gy, into(gx))");
    Border<T> border(name);
    const auto es = detail::batch(border, "eps", eps);
    const auto zs = border.sample_tensor("noise", noise);
    const auto hat = border.sample_tensor("x0_hat", x0_hat);
    const auto xs = border.sample_tensor("x0", x0);
    const auto sound = border.samples("audio", audio);
    border.same_shape("noise", zs, "eps", es);
    border.same_shape("x0_hat", hat, "eps", es);
    border.same_shape("x0", xs, "eps", es);
    const Index n = es.extent(0);
    const Index d = sync_encoder.features();
    border.expect_shape("audio", sound, {n, d}, "the sync encoder's features of each clip");
    const auto g = border.sample_gradient("eps", es, positional<0>(rest...));
    auto& scratch = border.scratch();
    Flatten<T> flat(border);
    const auto e = flat.input(es, 1);
    const auto to = flat.output(g, 1);
    const Index m = e.cols();

    // What the two judges send back to the clean estimate, and from there to eps.
    const MatrixView<T> embedded = scratch.template matrix<T>(n, d);
    const MatrixView<T> by_embedded = scratch.template matrix<T>(n, d);
    T* const in_sync = scratch.template take<T>(n);
    std::fill_n(in_sync, n, T(1));
    const VectorView<const T> ones{in_sync, {n}, {1}};
    LatentSyncTerms terms;
    const auto clips = trepa.through(trepa_encoder);
    sync_encoder.forward(hat, into(embedded));
    if (to) {
        terms.sync = sync(embedded, sound, ones, into(by_embedded));
        const AnyView<T> by_hat = row_major_like(scratch.template take<T>(hat.size()), hat);
        const AnyView<T> of_trepa = row_major_like(scratch.template take<T>(hat.size()), hat);
        sync_encoder.pullback(hat, MatrixView<const T>(by_embedded), into(by_hat));
        terms.trepa = clips(hat, xs, into(of_trepa));
        for (Index i = 0; i < hat.size(); ++i)
            by_hat.data[i] = static_cast<T>(w_sync * static_cast<double>(by_hat.data[i]) +
                                            w_trepa * static_cast<double>(of_trepa.data[i]));
        X0FromEps{}.pullback(alpha_bar, by_hat, into(of_trepa));
        const MatrixView<const T> sent{of_trepa.data, {n, m}, {m, 1}};
        terms.recon = kernel::L2Alignment<T>::plain(
            e, flat.input(zs, 1), entry_scale(MeanOver::entries, m),
            row_scale<T>(Reduction::mean, n, {}), {to.view, w_recon * to.scale, to.mode}, {}, {});
        double* const once = scratch.template take<double>(n);
        std::fill_n(once, n, 1.0);
        kernel::ScaledRows<T>::run(once, sent, {to.view, to.scale, Mode::add});
    }
    else {
        terms.sync = sync(embedded, sound, ones);
        terms.trepa = clips(hat, xs);
        terms.recon =
            kernel::L2Alignment<T>::plain(e, flat.input(zs, 1), entry_scale(MeanOver::entries, m),
                                          row_scale<T>(Reduction::mean, n, {}), {}, {}, {});
    }
    terms.value = w_recon * terms.recon + w_sync * terms.sync + w_trepa * terms.trepa;
    flat.finish();
    border.finish();
    return terms;
}

} // namespace temper::inline TEMPER_ABI
