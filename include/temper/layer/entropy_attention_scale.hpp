// SPDX-License-Identifier: BSL-1.0
#pragma once

// Self-attention at another number of tokens than a network was trained with: a scale that keeps the entropy of
// its rows, so that more tokens do not make it vaguer.
//
//   scale = sqrt(log(N) / (d log(T)))          N keys now, T tokens in training; N = T: 1 / sqrt(d)
//   A_i = softmax_j(scale q_i . k_j)           entropy = -mean_i sum_j A_ij log A_ij
//
// q [n, d], k [N, d], A [n, N]. N = 1: scale 0. n = 0: entropy 0. Logits of any size are fine. Throws
// ShapeError; RangeError for T < 2, N < 1 or d < 1.
// Jin et al., Training-free Diffusion Model Adaptation for Variable-Sized Text-to-Image Synthesis (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct EntropyAttentionScale {
    static constexpr std::string_view name = "EntropyAttentionScale";
    Index train_tokens = 0; ///< T; no default that could be right

    [[nodiscard]] double scale(Index keys, Index d) const
    {
        require(train_tokens >= 2, name, "train_tokens", static_cast<double>(train_tokens),
                "at least 2");
        require(keys >= 1, name, "keys", static_cast<double>(keys), "at least 1");
        require(d >= 1, name, "d", static_cast<double>(d), "at least 1");
        return std::sqrt(std::log(static_cast<double>(keys)) /
                         (static_cast<double>(d) * std::log(static_cast<double>(train_tokens))));
    }
    /// (q, k [, into(A)]) -> entropy
    template <class Q, class K, class... Rest>
    double operator()(const Q& q, const K& k, const Rest&... rest) const
    {
        const auto keys = AnyView<const ScalarOf<const K>>(view(k));
        if (keys.rank != 2)
            fail<ShapeError>(name, "k", joined({"has shape ", shape_text(keys)}), "[keys, d]");
        return with_scale(scale(keys.extent(0), keys.extent(1)), q, k, rest...);
    }
    /// The same with any scale, to compare with.
    template <class Q, class K, class... Rest>
    static double with_scale(double scale, const Q& q, const K& k, const Rest&... rest);

    friend bool operator==(const EntropyAttentionScale&, const EntropyAttentionScale&) = default;
};

namespace kernel {
template <class T>
struct EntropyAttentionScale {
    static double run(double scale, MatrixView<const T> q, MatrixView<const T> k,
                      const Destination<T, 2>& a);
};
} // namespace kernel

template <class Q, class K, class... Rest>
double EntropyAttentionScale::with_scale(double scale, const Q& q, const K& k, const Rest&... rest)
{
    accept<1>(rest...);
    using T = KernelScalarOf<Q, K>;
    Border<T> border(name);
    const auto qs = border.matrix("q", q);
    const auto ks = border.matrix("k", k);
    border.expect_shape("k", ks, {ks.rows(), qs.cols()}, "with the columns of q");
    const auto a =
        border.template output<2>("attention", positional<0>(rest...), {qs.rows(), ks.rows()});
    return border.finish(kernel::EntropyAttentionScale<T>::run(scale, qs, ks, a));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::EntropyAttentionScale<T>::run(double scale, MatrixView<const T> q,
                                             MatrixView<const T> k, const Destination<T, 2>& a)
{
    using V = simd::Pack<T>;
    const Index n = q.rows();
    Workspace::Frame frame;
    const MatrixView<T> logits = frame.matrix<T>(n, k.rows());
    linalg::product(logits, scale, q, k.transposed(), 0);
    const MatrixView<const T> z = logits;
    const double sum = simd::sum_tiles<T>(simd::operands(z, a), 1, [&](const auto& tile) {
        const auto e = tile.scratch(0);
        const auto largest = tile.max([=](auto at) { return at(z); });
        const auto sums = tile.template sums<2>([=](auto at) {
            const V u = at(z) - at(largest);
            const V power = exp(u);
            at.put(e, power);
            return std::array{power, select(power == V(0), V(0), power * u)};
        });
        auto inverse = tile.numbers();
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i) {
            inverse[i] = static_cast<T>(1 / sums[0][i]);
            total += std::log(sums[0][i]) - sums[1][i] / sums[0][i];
        }
        tile.each([=](auto at) { at.put(a, at(e) * at(inverse)); });
        return total;
    });
    return n > 0 ? sum / static_cast<double>(n) : 0;
}

TEMPER_INSTANTIATE(kernel::EntropyAttentionScale);

} // namespace temper::inline TEMPER_ABI
#endif
