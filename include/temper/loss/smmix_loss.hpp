// SPDX-License-Identifier: BSL-1.0
#pragma once

// The objective of SMMix: the mixed image learns the mixed label, each half's own tokens learn that
// half's label, and the mixed prediction follows the mixture of the two unmixed ones.
//
//   y_i = (1 - e) onehot(label_i) + e / k       y'_i = l_i y_i + (1 - l_i) y_p(i)
//   L = classification CE(z, y') + fine_grained (CE(z_target, y) + CE(z_source, y_p)) / 2
//       + consistency KL(softmax(l u + (1 - l) u_p) || softmax(z))
//   CE(z, y) = -(1/n) sum_ij y_ij log softmax(z_i)_j, KL likewise the mean over samples
//   dL/dz = (classification (q - y') + consistency (q - r)) / n,  q = softmax(z), r the mixture's softmax
//   dL/dz_target = fine_grained (softmax(z_target) - y) / (2 n)      dL/dz_source likewise
//
// z, z_target, z_source, u [n, k]: logits of the mixed image, of its target and of its source tokens (from
// a head on TokenMaskPool's means), and of the unmixed images, which are held fixed; p and l the plan's
// partners and label_lambda. The mixture is one of logits, not of probabilities (a geometric mean).
// e = label_smoothing. terms(into(v)): the three terms, [3]. n = 0: 0. At l = 1 there are no source
// tokens, whose logits are then the head's bias. Logits of any size are fine, also minus infinity where the
// target is 0.
// Throws ShapeError; RangeError for labels outside [0, k), label_smoothing outside [0, 1], a plan of
// another size.
// Chen et al., SMMix: Self-Motivated Image Mixing for Vision Transformers (2023).

#include <temper/augment/mix_plan.hpp>
#include <temper/core/component.hpp>
#include <temper/core/terms.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

struct SmmixLoss {
    static constexpr std::string_view name = "SmmixLoss";
    double label_smoothing = 0.1;
    double classification = 1;
    double fine_grained = 1;
    double consistency = 1;

    /// (z, z_target, z_source, u, labels(y), plan [, into(gz), into(g_target), into(g_source)]
    ///  [, terms(into(v))])
    template <class Z, class A, class B, class U, class Y, class... Rest>
    double operator()(const Z& z, const A& z_target, const B& z_source, const U& unmixed,
                      const Y& targets, const MixPlan& plan, const Rest&... rest) const;

    friend bool operator==(const SmmixLoss&, const SmmixLoss&) = default;
};

namespace kernel {
template <class T>
struct SmmixLoss {
    struct Inputs {
        MatrixView<const T> z, target, source, unmixed;
        const std::int64_t* labels;
        const MixPlan& plan;
    };
    struct Outputs {
        Destination<T, 2> z, target, source;
        Destination<T, 1> terms;
    };
    static double run(const temper::SmmixLoss& loss, const Inputs& in, const Outputs& out);

  private:
    static std::array<double, 2> mixed(const temper::SmmixLoss& loss, const Inputs& in,
                                       const Destination<T, 2>& gz);
};
} // namespace kernel

template <class Z, class A, class B, class U, class Y, class... Rest>
double SmmixLoss::operator()(const Z& z, const A& z_target, const B& z_source, const U& unmixed,
                             const Y& targets, const MixPlan& plan, const Rest&... rest) const
{
    static_assert(is_labels<Y>, "temper: the targets of SmmixLoss are said as labels(y)");
    accept<3, Terms>(rest...);
    using T = KernelScalarOf<Z, A, B, U>;
    Border<T> border(name);
    border.require(label_smoothing >= 0 && label_smoothing <= 1, "label_smoothing", label_smoothing,
                   "from 0 to 1");
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const auto target = border.samples("target tokens' logits", z_target);
    const auto source = border.samples("source tokens' logits", z_source);
    const auto us = border.samples("unmixed logits", unmixed);
    border.same_shape("target tokens' logits", target, "logits", zs);
    border.same_shape("source tokens' logits", source, "logits", zs);
    border.same_shape("unmixed logits", us, "logits", zs);
    const auto* y = border.labels("labels", targets, n, zs.cols());
    plan.check(name, n);
    typename kernel::SmmixLoss<T>::Outputs out;
    out.z = border.gradient("logits", zs, positional<0>(rest...));
    out.target = border.gradient("target tokens' logits", target, positional<1>(rest...));
    out.source = border.gradient("source tokens' logits", source, positional<2>(rest...));
    out.terms = border.template named_into<1>("terms", named<Terms>(rest...), {3});
    return border.finish(kernel::SmmixLoss<T>::run(*this, {zs, target, source, us, y, plan}, out));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/loss/divergences.hpp>
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::SmmixLoss<T>::run(const temper::SmmixLoss& loss, const Inputs& in,
                                 const Outputs& out)
{
    Workspace::Frame frame;
    const Index n = in.z.rows();
    auto* of_partner = frame.take<std::int64_t>(n);
    for (Index i = 0; i < n; ++i)
        of_partner[i] = in.labels[in.plan.partner[static_cast<std::size_t>(i)]];
    const RowScale<T> half{{}, n == 0 ? 0 : loss.fine_grained / (2 * static_cast<double>(n))};
    const auto fine = [&](MatrixView<const T> z, const std::int64_t* y,
                          const Destination<T, 2>& gz) {
        return kernel::SoftmaxCrossEntropy<T>::hard(z, {y, {}, false}, loss.label_smoothing, half,
                                                    {gz, {}, {}, {}});
    };
    const double fine_grained =
        fine(in.target, in.labels, out.target) + fine(in.source, of_partner, out.source);
    const auto [classification, consistency] = mixed(loss, in, out.z);
    if (out.terms)
        for (const auto& [term, value] :
             {std::pair{Index{0}, classification}, std::pair{Index{1}, fine_grained},
              std::pair{Index{2}, consistency}})
            out.terms.put(out.terms.view(term), static_cast<T>(value));
    return classification + fine_grained + consistency;
}

/// The two terms of the mixed image.
template <class T>
std::array<double, 2> kernel::SmmixLoss<T>::mixed(const temper::SmmixLoss& loss, const Inputs& in,
                                                  const Destination<T, 2>& gz)
{
    using V = simd::Pack<T>;
    Workspace::Frame frame;
    const Index n = in.z.rows();
    const Index k = in.z.cols();
    const MatrixView<T> u = frame.matrix_like(in.z); // the mixture of the unmixed logits
    for (Index i = 0; i < n; ++i) {
        const double l = in.plan.label_lambda_of(i);
        const Index j = in.plan.partner[static_cast<std::size_t>(i)];
        simd::row_map(
            k, std::array{simd::source<T>(in.unmixed.row(i)), simd::source<T>(in.unmixed.row(j))},
            std::array{simd::Sink<T>{u.row(i).data, u.strides[1], T(1), Mode::overwrite}},
            [l](auto a, auto b, auto& out) {
                using P = decltype(a);
                out = l == 1 ? a : l == 0 ? b : fma(P(l), a, P(1 - l) * b);
            });
    }
    const MatrixView<const T> mixture = u;
    const double scale = n == 0 ? 0 : 1 / static_cast<double>(n);
    const double smooth = loss.label_smoothing;
    const double spread = smooth / static_cast<double>(k);
    double* const kl = frame.take<double>(n);
    const double cross =
        simd::sum_tiles<T>(simd::operands(in.z, mixture, gz), 2, [&](const auto& tile) {
            const auto q = simd::softmax(tile, in.z, tile.scratch(0));
            const auto r = simd::softmax(tile, mixture, tile.scratch(1));
            const MatrixView<const T> z = in.z;
            // Both in terms of what is below the shift, so that nothing large is subtracted.
            auto below = tile.totals();
            if (smooth > 0)
                below = tile.sum([=](auto at) { return at(q.shift) - at(z); });
            auto sum_ratio = tile.numbers(); // sum_r / sum_q
            auto log_ratio = tile.numbers(); // minus its logarithm
            for (Index i = 0; i < tile.rows(); ++i) {
                sum_ratio[i] = r.sum[i] / q.sum[i];
                log_ratio[i] = static_cast<T>(
                    std::log(static_cast<double>(q.sum[i]) / static_cast<double>(r.sum[i])));
            }
            const auto apart = tile.sum([=](auto at) {
                const V d = (at(mixture) - at(r.shift)) - (at(z) - at(q.shift)) + at(log_ratio);
                return detail::excess(at(r.e), at(q.e) * at(sum_ratio), d);
            });
            double total = 0;
            auto of_q = tile.numbers();
            auto of_r = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index row = tile.row(i);
                const double l = in.plan.label_lambda_of(row);
                const auto log_sum = std::log(static_cast<double>(q.sum[i]));
                const auto sum = static_cast<double>(r.sum[i]);
                const auto cost = [&](double weight, std::int64_t label) {
                    const auto under = static_cast<double>(q.shift[i]) -
                                       static_cast<double>(z(row, static_cast<Index>(label)));
                    return weight == 0 ? 0 : weight * (log_sum + under);
                };
                const auto j = static_cast<std::size_t>(row);
                total += cost((1 - smooth) * l, in.labels[row]) +
                         cost((1 - smooth) * (1 - l), in.labels[in.plan.partner[j]]);
                if (smooth > 0)
                    total += smooth * log_sum + spread * below[i];
                kl[row] = apart[i] / sum;
                of_q[i] = static_cast<T>(scale * (loss.classification + loss.consistency) /
                                         static_cast<double>(q.sum[i]));
                of_r[i] = static_cast<T>(scale * loss.consistency / sum);
            }
            if (gz) {
                const V even(scale * loss.classification * spread);
                tile.each(
                    [=](auto at) { at.put(gz, at(of_q) * at(q.e) - at(of_r) * at(r.e) - even); });
                for (Index i = 0; i < tile.rows(); ++i) {
                    const Index row = tile.row(i);
                    const double l = in.plan.label_lambda_of(row);
                    const double hard = gz.scale * scale * loss.classification * (1 - smooth);
                    const auto j = static_cast<std::size_t>(row);
                    gz.view(row, static_cast<Index>(in.labels[row])) -= static_cast<T>(hard * l);
                    gz.view(row, static_cast<Index>(in.labels[in.plan.partner[j]])) -=
                        static_cast<T>(hard * (1 - l));
                }
            }
            return total;
        });
    double divergence = 0;
    for (Index i = 0; i < n; ++i)
        divergence += kl[i];
    return {loss.classification * scale * cross, loss.consistency * scale * divergence};
}

TEMPER_INSTANTIATE(kernel::SmmixLoss);

} // namespace temper::inline TEMPER_ABI
#endif
