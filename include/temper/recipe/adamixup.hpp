// SPDX-License-Identifier: BSL-1.0
#pragma once

// AdaMixUp: mixup whose coefficients a policy learns, so that mixtures stay off the data.
//
//   L = (1 / 2m) (sum over m mixtures of CE(z, t) + sum over their m first members of CE(z, y))
//       + intrusion_weight IntrusionLoss(real, mixed)
//
// Everything, the classifier, the policy and the discriminator, minimises L. A step of the caller's loop:
//
//   ada.region.draw(rng, m, plan);                      half of the batch, in pairs (x1, x2)
//   gate = policy(x1, x2);   ada.region.decide(gate, plan);
//   ada.region.apply(plan, x1, x2, into(xm));           ada.region.mix_labels(plan, y1, y2, into(t));
//   z = classifier(xm, x1);  r = discriminator(xm; x1 and the other half)
//   value = ada.classification(z_mixed, probabilities(t), z_first, labels(y), into(gzm), into(gt), into(gz))
//         + ada.intrusion(r_real, r_mixed, into(gr), into(gm));
//   ... both networks back to gxm ...
//   ada.region.pullback(plan, x1, x2, y1, y2, gxm, gt, into(g_gate));      to the policy
//
// Paper: a weight decay of 1e-4 beside. LocalLinearity (metric/) measures what it is for.
// Guo, Mao and Zhang, MixUp as Locally Linear Out-Of-Manifold Regularization (2019).

#include <temper/augment/policy_region.hpp>
#include <temper/loss/intrusion_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

struct AdaMixup {
    static constexpr std::string_view name = "AdaMixup";
    PolicyRegion region{};
    double intrusion_weight = 1;

    /// (z_mixed, probabilities(t), z_first, labels(y) or probabilities(y)
    ///  [, into(g_mixed), into(gt), into(g_first)]); both batches have m rows
    template <class Z, class P, class F, class Y, class... Rest>
    double classification(const Z& mixed, const P& mixed_targets, const F& first, const Y& targets,
                          const Rest&... rest) const;
    /// (real, mixed [, into(g_real), into(g_mixed)])
    template <class R, class M, class... Rest>
    double intrusion(const R& real, const M& mixed, const Rest&... rest) const
    {
        return (intrusion_weight * IntrusionLoss{})(real, mixed, rest...);
    }
    friend bool operator==(const AdaMixup&, const AdaMixup&) = default;
};

template <class Z, class P, class F, class Y, class... Rest>
double AdaMixup::classification(const Z& mixed, const P& mixed_targets, const F& first,
                                const Y& targets, const Rest&... rest) const
{
    accept<3>(rest...);
    using T = KernelScalarOf<Z, F>;
    using Loss = kernel::SoftmaxCrossEntropy<T>;
    Border<T> border(name);
    const auto zm = border.samples("mixed", mixed);
    const auto zf = border.samples("first", first);
    const auto t = border.probabilities("mixed_targets", mixed_targets);
    border.same_shape("first", zf, "mixed", zm);
    border.same_shape("mixed_targets", t, "mixed", zm);
    const std::int64_t* y = nullptr;
    MatrixView<const T> p;
    if constexpr (is_labels<Y>)
        y = border.labels("targets", targets, zf.rows(), zf.cols());
    else {
        p = border.probabilities("targets", targets);
        border.same_shape("targets", p, "first", zf);
    }
    const auto gm = border.gradient("mixed", zm, positional<0>(rest...));
    const auto gt = border.gradient("mixed_targets", t, positional<1>(rest...));
    const auto gf = border.gradient("first", zf, positional<2>(rest...));
    const auto both = row_scale<T>(Reduction::mean, 2 * zm.rows(), {});
    double value = Loss::soft(zm, t, {}, 0, both, {gm, gt, {}, {}});
    if (y != nullptr || zf.rows() == 0)
        value += Loss::hard(zf, {y, {}, false}, 0, both, {gf, {}, {}, {}});
    else
        value += Loss::soft(zf, p, {}, 0, both, {gf, {}, {}, {}});
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI
