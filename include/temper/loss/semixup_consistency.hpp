// SPDX-License-Identifier: BSL-1.0
#pragma once

// Semixup's consistency of unlabelled samples, in and out of the manifold of the data.
//
//   h = l z + (1 - l) z_p                          logits, mixed as the inputs were
//   L = in_manifold d(z_aug, z) + interpolation d(z_mix, h)
//       + out_of_manifold (d(z, z_mix) + d(z_mix, z_aug))
//   mse   d(u, v) = (1 / (n k)) sum_ij (P_ij - Q_ij)^2               P = softmax(u), Q = softmax(v)
//   kl    d(u, v) = (1 / (n k)) sum_ij Q_ij (log Q_ij - log P_ij)
//
// z_mix, z, z_aug [n, k]: logits of the mixed, the plain and the augmented inputs; p and l the plan's
// partners and label_lambda. Nothing is held fixed, unlike what the published code says of itself: every
// term has gradients to both sides, and through h to z. Discard one to hold it fixed.
// Paper: squared differences, weights 2, 4, 2 (the published class has 2, 2, 4); partners reversed, lambda
// the larger of lambda and 1 - lambda and at least 0.55:
//
//   Mixup<FlooredCoefficient<>, ReversedPairs> mixup;        mixup.draw(rng, n)
//
// terms(into(v)): the three terms, [3]. n = 0 or k = 0: 0. Logits of any size are fine, minus infinity for
// mse only. Throws ShapeError; RangeError for a plan of another size.
// Nguyen et al., Semixup: In- and Out-of-Manifold Regularization for Deep Semi-Supervised Knee Osteoarthritis
// Severity Grading from Plain Radiographs (2020).

#include <temper/augment/mix_plan.hpp>
#include <temper/core/component.hpp>
#include <temper/core/terms.hpp>
#include <temper/loss/divergences.hpp>

namespace temper::inline TEMPER_ABI {

enum class SemixupDivergence { mse, kl };

struct SemixupConsistency {
    static constexpr std::string_view name = "SemixupConsistency";
    SemixupDivergence divergence = SemixupDivergence::mse;
    double in_manifold = 2;
    double interpolation = 4;
    double out_of_manifold = 2;

    /// (z_mix, z, z_aug, plan [, into(g_mix), into(gz), into(g_aug)] [, terms(into(v))])
    template <class M, class Z, class A, class... Rest>
    double operator()(const M& mixed, const Z& z, const A& augmented, const MixPlan& plan,
                      const Rest&... rest) const;

    friend bool operator==(const SemixupConsistency&, const SemixupConsistency&) = default;
};

namespace kernel {
template <class T>
struct SemixupConsistency {
    static double run(const temper::SemixupConsistency& how, MatrixView<const T> mixed,
                      MatrixView<const T> z, MatrixView<const T> augmented, const MixPlan& plan,
                      const Destination<T, 2>& g_mixed, const Destination<T, 2>& gz,
                      const Destination<T, 2>& g_augmented, const Destination<T, 1>& terms);
};
} // namespace kernel

template <class M, class Z, class A, class... Rest>
double SemixupConsistency::operator()(const M& mixed, const Z& z, const A& augmented,
                                      const MixPlan& plan, const Rest&... rest) const
{
    accept<3, Terms>(rest...);
    using T = KernelScalarOf<M, Z, A>;
    Border<T> border(name);
    const auto m = border.samples("mixed logits", mixed);
    const auto zs = border.samples("logits", z);
    const auto a = border.samples("augmented logits", augmented);
    border.same_shape("logits", zs, "mixed logits", m);
    border.same_shape("augmented logits", a, "mixed logits", m);
    plan.check(name, m.rows());
    const auto gm = border.gradient("mixed logits", m, positional<0>(rest...));
    const auto gz = border.gradient("logits", zs, positional<1>(rest...));
    const auto ga = border.gradient("augmented logits", a, positional<2>(rest...));
    const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {3});
    return border.finish(
        kernel::SemixupConsistency<T>::run(*this, m, zs, a, plan, gm, gz, ga, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::semixup {

/// One of the four predictions in a tile: its probabilities, their logarithms, and the gradient to its
/// logits as it gathers.
template <class T>
struct Side {
    simd::TileMatrix<T> p, log_p, g;
};

template <class T, class Tile>
Side<T> side(const Tile& tile, MatrixView<const T> z, Index scratch, bool logarithms)
{
    const Side<T> out{tile.scratch(scratch), tile.scratch(scratch + 1), tile.scratch(scratch + 2)};
    const auto s = simd::softmax(tile, z, out.p);
    auto log_sum = tile.numbers();
    if (logarithms)
        tile.each_row([&](auto at) { at.put(log_sum, log(at(s.sum))); });
    tile.each([=](auto at) {
        at.put(out.p, at(s.e) / at(s.sum));
        at.put(out.g, simd::Pack<T>(0));
        at.put(out.log_p, logarithms ? (at(z) - at(s.shift)) - at(log_sum) : simd::Pack<T>(0));
    });
    return out;
}

/// The sum of c d(u, v) over the rows of a tile, v being the target of the divergence; its gradients are
/// added to both sides.
template <class T, class Tile, class D>
double pair(const Tile& tile, const D& divergence, double c, const Side<T>& u, const Side<T>& v)
{
    using V = simd::Pack<T>;
    if (c == 0)
        return 0;
    const auto term = [=](auto at) {
        return divergence(at(v.p), at(v.log_p), at(u.p), at(u.log_p));
    };
    auto sum_u = tile.numbers();
    if constexpr (requires { D::prediction_sum; })
        for (Index i = 0; i < tile.rows(); ++i)
            sum_u[i] = static_cast<T>(D::prediction_sum);
    else
        sum_u = tile.sum([=](auto at) { return term(at).of_prediction; }).narrow();
    const auto sum_v = tile.sum([=](auto at) { return term(at).of_target; }).narrow();
    const V weight(c);
    const auto value = tile.sum([=](auto at) {
        const auto d = term(at);
        at.put(u.g, at(u.g) + weight * (d.of_prediction - at(u.p) * at(sum_u)));
        at.put(v.g, at(v.g) + weight * (d.of_target - at(v.p) * at(sum_v)));
        return d.value;
    });
    double total = 0;
    for (Index i = 0; i < tile.rows(); ++i)
        total += value[i];
    return c * total;
}

} // namespace kernel::semixup

template <class T>
double kernel::SemixupConsistency<T>::run(const temper::SemixupConsistency& how,
                                          MatrixView<const T> mixed, MatrixView<const T> z,
                                          MatrixView<const T> augmented, const MixPlan& plan,
                                          const Destination<T, 2>& g_mixed,
                                          const Destination<T, 2>& gz,
                                          const Destination<T, 2>& g_augmented,
                                          const Destination<T, 1>& terms)
{
    using V = simd::Pack<T>;
    const Index n = z.rows();
    const Index k = z.cols();
    const double scale = n * k == 0 ? 0 : 1 / static_cast<double>(n * k);
    Workspace::Frame frame;
    const MatrixView<T> h = frame.matrix<T>(n, k);
    const MatrixView<T> gh = frame.matrix<T>(n, k);
    const MatrixView<T> own = frame.matrix<T>(n, k); // of z, without what comes through h
    double* const row_terms = frame.take<double>(3 * n);
    for (Index i = 0; i < n; ++i) {
        const double l = plan.label_lambda_of(i);
        const Index j = plan.partner[static_cast<std::size_t>(i)];
        simd::row_map(k, std::array{simd::source<T>(z.row(i)), simd::source<T>(z.row(j))},
                      std::array{simd::sink(h.row(i).data)}, [l](auto a, auto b, auto& out) {
                          using P = decltype(a);
                          out = l == 1 ? a : l == 0 ? b : fma(P(l), a, P(1 - l) * b);
                      });
    }
    const bool kl = how.divergence == SemixupDivergence::kl;
    const MatrixView<const T> target = h;
    const Destination<T, 2> to_h{gh, 1, Mode::overwrite};
    const Destination<T, 2> to_own{own, 1, Mode::overwrite};
    // The terms of a tile go to its first row's places: their sum does not depend on the threads.
    std::fill(row_terms, row_terms + 3 * n, 0.0);
    (void)simd::sum_tiles<T>(
        simd::operands(z, mixed, augmented, target, g_mixed, g_augmented, to_h, to_own), 12,
        [&](const auto& tile) {
            const auto of_m = semixup::side<T>(tile, mixed, 0, kl);
            const auto of_z = semixup::side<T>(tile, z, 3, kl);
            const auto of_a = semixup::side<T>(tile, augmented, 6, kl);
            const auto of_h = semixup::side<T>(tile, target, 9, kl);
            const auto d = [&](double c, const auto& u, const auto& v) {
                return kl ? semixup::pair<T>(tile, KullbackLeibler{}, scale * c, u, v)
                          : semixup::pair<T>(tile, SquaredDistance{}, scale * c, u, v);
            };
            double* const at_first = row_terms + 3 * tile.row(0);
            at_first[0] = d(how.in_manifold, of_a, of_z);
            at_first[1] = d(how.interpolation, of_m, of_h);
            at_first[2] = d(how.out_of_manifold, of_z, of_m);
            at_first[2] += d(how.out_of_manifold, of_m, of_a);
            tile.each([=](auto at) {
                const V g = at(of_m.g);
                at.put(g_mixed, g);
                at.put(g_augmented, at(of_a.g));
                at.put(to_own, at(of_z.g));
                at.put(to_h, at(of_h.g));
            });
            return 0.0;
        });
    double sums[3] = {0, 0, 0};
    for (Index i = 0; i < 3 * n; ++i)
        sums[i % 3] += row_terms[i];
    if (terms)
        for (Index t = 0; t < 3; ++t)
            terms.put(terms.view(t), static_cast<T>(sums[t]));
    if (gz) {
        for (Index i = 0; i < n; ++i) {
            const double l = plan.label_lambda_of(i);
            const Index j = plan.partner[static_cast<std::size_t>(i)];
            simd::axpy(k, l, simd::source<T>(gh.row(i).data), own.row(i).data);
            simd::axpy(k, 1 - l, simd::source<T>(gh.row(i).data), own.row(j).data);
        }
        simd::map(simd::in(MatrixView<const T>(own)), simd::out(gz),
                  [](auto x, auto& y) { y = x; });
    }
    return sums[0] + sums[1] + sums[2];
}

TEMPER_INSTANTIATE(kernel::SemixupConsistency);

} // namespace temper::inline TEMPER_ABI
#endif
