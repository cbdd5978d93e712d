// SPDX-License-Identifier: BSL-1.0
#pragma once

// Attention logits of normalised queries and keys, which no growth of the weights can blow up.
//
//   forward    S = N(Q) N(K)' / sqrt(d)
//   pullback   gQ = N' of (gS N(K)) / sqrt(d),  gK = N' of (gS' N(Q)) / sqrt(d)
//
//   layer_norm   N(x) = (x - mean x) / sqrt(var x + epsilon)       var over the d entries, divided by d
//   rms_norm     N(x) = x / sqrt(mean x^2 + epsilon)
//   l2           N(x) = x / max(|x|, epsilon)                      |S| <= 1 / sqrt(d)
//
// q [n, d], k [m, d] of one head, S [n, m]. No affine part. Under the first two |N(x)| <= sqrt(d), hence
// |S_ij| <= sqrt(d). A constant row has zero logits under layer_norm. l2: a row no longer than epsilon gets no
// gradient, by convention. S(q, q) is allowed, its gradient is the sum of both (say add_to for the second).
// Rows whose squares overflow have zero logits. d = 0: zeros. Throws ShapeError; RangeError for epsilon that is
// not positive.
// Henry et al., Query-key normalization for transformers (2020); Wang et al., FiTv2: scalable and improved
// flexible vision transformer for diffusion model (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

enum class QkNormKind { layer_norm, rms_norm, l2 };

struct QkNorm {
    static constexpr std::string_view name = "QkNorm";
    QkNormKind kind = QkNormKind::layer_norm;
    double epsilon = 1e-6;

    /// (q, k, into(s))
    template <class Q, class K, class D>
    void forward(const Q& q, const K& k, const D& s) const;
    /// (q, k, gs [, into(gq), into(gk)])
    template <class Q, class K, class G, class... Rest>
    void pullback(const Q& q, const K& k, const G& gs, const Rest&... rest) const;

    friend bool operator==(const QkNorm&, const QkNorm&) = default;
};

namespace kernel {
template <class T>
struct QkNorm {
    static void forward(const temper::QkNorm& how, MatrixView<const T> q, MatrixView<const T> k,
                        const Destination<T, 2>& s);
    static void pullback(const temper::QkNorm& how, MatrixView<const T> q, MatrixView<const T> k,
                         MatrixView<const T> gs, const Destination<T, 2>& gq,
                         const Destination<T, 2>& gk);
};
} // namespace kernel

template <class Q, class K, class D>
void QkNorm::forward(const Q& q, const K& k, const D& s) const
{
    using T = KernelScalarOf<Q, K>;
    Border<T> border(name);
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    const auto qs = border.samples("q", q);
    const auto ks = border.samples("k", k);
    border.expect_shape("k", ks, {ks.rows(), qs.cols()}, "with the columns of q");
    const auto to = border.template output<2>("s", s, {qs.rows(), ks.rows()});
    kernel::QkNorm<T>::forward(*this, qs, ks, to);
    border.finish();
}

template <class Q, class K, class G, class... Rest>
void QkNorm::pullback(const Q& q, const K& k, const G& gs, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<Q, K, G>;
    Border<T> border(name);
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    const auto qs = border.samples("q", q);
    const auto ks = border.samples("k", k);
    border.expect_shape("k", ks, {ks.rows(), qs.cols()}, "with the columns of q");
    const auto g = border.samples("gs", gs);
    border.expect_shape("gs", g, {qs.rows(), ks.rows()}, "a row for each query");
    const auto gq = border.gradient("q", qs, positional<0>(rest...));
    const auto gk = border.gradient("k", ks, positional<1>(rest...));
    kernel::QkNorm<T>::pullback(*this, qs, ks, g, gq, gk);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// Rows of zero mean (or as they are) and unit mean square, and the way back.
template <class T>
class NormalRows {
  public:
    NormalRows(Workspace::Frame& frame, const temper::QkNorm& how, MatrixView<const T> x)
        : u(frame.matrix_like(x)), backward_(frame.take<T>(x.rows())),
          centred_(how.kind == QkNormKind::layer_norm)
    {
        if (how.kind == QkNormKind::l2) {
            backward_ = simd::UnitRows<T>(frame, x, how.epsilon, u).backward;
            return;
        }
        const Destination<T, 2> to{u, 1, Mode::overwrite};
        const auto d = static_cast<double>(x.cols());
        (void)simd::sum_tiles<T>(simd::operands(x, u), 0, [&](const auto& tile) {
            auto mean = tile.numbers();
            if (centred_) {
                const auto sum = tile.sum([=](auto at) { return at(x); });
                for (Index i = 0; i < tile.rows(); ++i)
                    mean[i] = static_cast<T>(sum[i] / d);
            }
            const auto square = tile.sum([=](auto at) {
                const auto e = at(x) - at(mean);
                return e * e;
            });
            auto factor = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                factor[i] = static_cast<T>(1 / std::sqrt(square[i] / d + how.epsilon));
                backward_[tile.row(i)] = factor[i];
            }
            tile.each([=](auto at) { at.put(to, (at(x) - at(mean)) * at(factor)); });
            return 0.0;
        });
    }
    /// gx = backward (p - mean p - u mean(u p)), and for unit rows backward (p - u <u, p>).
    void pull(MatrixView<const T> p, const temper::QkNorm& how, const Destination<T, 2>& gx) const
    {
        if (how.kind == QkNormKind::l2)
            return simd::UnitRows<T>::pull(u, backward_, p, gx);
        const auto d = static_cast<double>(p.cols());
        const MatrixView<const T> rows = u;
        (void)simd::sum_tiles<T>(simd::operands(rows, p, gx), 0, [&](const auto& tile) {
            const auto sums =
                tile.template sums<2>([=](auto at) { return std::array{at(p), at(rows) * at(p)}; });
            auto mean = tile.numbers();
            auto along = tile.numbers();
            auto factor = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                mean[i] = centred_ ? static_cast<T>(sums[0][i] / d) : T(0);
                along[i] = static_cast<T>(sums[1][i] / d);
                factor[i] = backward_[tile.row(i)];
            }
            tile.each([=](auto at) {
                at.put(gx, (at(p) - at(mean) - at(rows) * at(along)) * at(factor));
            });
            return 0.0;
        });
    }
    MatrixView<T> u;

  private:
    T* backward_;
    bool centred_;
};

} // namespace detail

template <class T>
void kernel::QkNorm<T>::forward(const temper::QkNorm& how, MatrixView<const T> q,
                                MatrixView<const T> k, const Destination<T, 2>& s)
{
    if (!s)
        return;
    Workspace::Frame frame;
    const detail::NormalRows<T> of_q(frame, how, q);
    const detail::NormalRows<T> of_k(frame, how, k);
    const double root = std::sqrt(static_cast<double>((std::max)(q.cols(), Index{1})));
    linalg::product(s.view, s.scale / root, of_q.u, of_k.u.transposed(), s.adds() ? 1 : 0);
}

template <class T>
void kernel::QkNorm<T>::pullback(const temper::QkNorm& how, MatrixView<const T> q,
                                 MatrixView<const T> k, MatrixView<const T> gs,
                                 const Destination<T, 2>& gq, const Destination<T, 2>& gk)
{
    Workspace::Frame frame;
    const detail::NormalRows<T> of_q(frame, how, q);
    const detail::NormalRows<T> of_k(frame, how, k);
    const double root = std::sqrt(static_cast<double>((std::max)(q.cols(), Index{1})));
    const auto pull = [&](const detail::NormalRows<T>& of, MatrixView<const T> g,
                          const detail::NormalRows<T>& other, const Destination<T, 2>& to) {
        if (!to)
            return;
        Workspace::Frame inner;
        const MatrixView<T> p = inner.matrix_like(of.u);
        linalg::product(p, 1 / root, g, other.u, 0);
        of.pull(p, how, to);
    };
    pull(of_q, gs, of_k, gq);
    pull(of_k, gs.transposed(), of_q, gk);
}

TEMPER_INSTANTIATE(kernel::QkNorm);

} // namespace temper::inline TEMPER_ABI
#endif
