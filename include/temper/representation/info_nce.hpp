// SPDX-License-Identifier: BSL-1.0
#pragma once

// InfoNCE over a batch: each query shall find its own key among those of the batch.
//
//   s_ij = <q_i, k_j> / tau              of unit vectors x / max(|x|, epsilon), or (dot) as they are
//   l_i = log sum_j exp(s_ij) - s_ii     one direction; the other is info_nce(k, q)
//   L = reduce_i w_i l_i
//   dL/dq_i = w_i sum_j (p_ij - [i = j]) k_j / tau,   dL/dk_j = sum_i w_i (p_ij - [i = j]) q_i / tau,
//   p_i = softmax(s_i), w_i as reduced; from there back through the lengths
//
// q, k [n, d]; tau = temperature. Keys of a momentum encoder are held fixed: no destination. w sample
// weights [n], 1 where not given, the mean is over their sum. Per sample: l_i, without weights. The n x n
// matrix is never stored: memory grows with n d. n = 1: 0 with zero gradient; n = 0: 0. A row with
// |x| <= epsilon gets no gradient, by convention, and a zero row has similarity 0. Throws ShapeError;
// RangeError for a temperature that is not positive and a negative epsilon.
// Oord, Li and Vinyals, Representation learning with contrastive predictive coding (2018).

#include <temper/representation/similarity.hpp>

namespace temper::inline TEMPER_ABI {

struct InfoNce {
    static constexpr std::string_view name = "InfoNce";
    double temperature = 0.2;
    Similarity similarity = Similarity::cosine;
    Reduction reduction = Reduction::mean;
    double epsilon = 1e-12;

    /// (q, k [, sample_weights(w)] [, into(gq), into(gk)] [, per_sample(into(v))])
    template <class Q, class K, class... Rest>
    double operator()(const Q& q, const K& k, const Rest&... rest) const;

    friend bool operator==(const InfoNce&, const InfoNce&) = default;
};

namespace kernel {
template <class T>
struct InfoNce {
    static double run(const temper::InfoNce& how, MatrixView<const T> q, MatrixView<const T> k,
                      RowScale<T> scale, const Destination<T, 2>& gq, const Destination<T, 2>& gk,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class Q, class K, class... Rest>
double InfoNce::operator()(const Q& q, const K& k, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<Q, K>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto qs = border.samples("q", q);
    const auto ks = border.samples("k", k);
    border.same_shape("k", ks, "q", qs);
    const Index n = qs.rows();
    const auto weights =
        border.optional_vector("sample_weights", named<SampleWeights>(rest...), n, "as q has rows");
    const auto gq = border.gradient("q", qs, positional<0>(rest...));
    const auto gk = border.gradient("k", ks, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(
        kernel::InfoNce<T>::run(*this, qs, ks, row_scale(reduction, n, weights), gq, gk, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::InfoNce<T>::run(const temper::InfoNce& how, MatrixView<const T> q,
                               MatrixView<const T> k, RowScale<T> scale,
                               const Destination<T, 2>& gq, const Destination<T, 2>& gk,
                               const Destination<T, 1>& per_sample)
{
    using V = simd::Pack<T>;
    const Index n = q.rows();
    const Index d = q.cols();
    if (n == 0)
        return 0;
    Workspace::Frame frame;
    const MatrixView<T> x = frame.matrix_like(q);
    const MatrixView<T> y = frame.matrix_like(k);
    const detail::ComparedRows<T> queries(frame, how.similarity, how.epsilon, q, x);
    const detail::ComparedRows<T> keys(frame, how.similarity, how.epsilon, k, y);
    const MatrixView<T> gx = gq ? frame.matrix_like(x) : MatrixView<T>{};
    const MatrixView<T> gy = gk ? frame.zeros_like(y) : MatrixView<T>{};
    const double sharpness = 1 / how.temperature;
    const double bound =
        how.similarity == Similarity::cosine
            ? 1
            : std::sqrt(detail::largest_square<T>(x) * detail::largest_square<T>(y));
    const std::optional<double> common = detail::common_shift<T>(bound * sharpness);

    // Some rows of the matrix at a time, with all of their columns.
    const Blocks strips{n, std::clamp(Index{1 << 19} / n / 8 * 8, Index{64}, Index{512})};
    const MatrixView<T> strip =
        frame.matrix_like(MatrixView<const T>{nullptr, {(std::min)(strips.size, n), n}, {n, 1}});
    const MatrixView<T> weighted = frame.matrix_like(x.block(0, 0, strip.rows(), d));
    auto* const weight = frame.take<double>(n);
    double total = 0;
    for (Index block = 0; block < strips.count(); ++block) {
        const Index first = strips.begin(block);
        const Index count = strips.end(block) - first;
        const MatrixView<T> s = strip.block(0, 0, count, n);
        const MatrixView<const T> own_q = x.block(first, 0, count, d);
        linalg::product(s, sharpness, own_q, y.transposed(), 0);

        // Exponentials take the place of similarities, and minus the sum of the others that of the own key:
        // times weight_i this is the gradient by s_i.
        total += parallel_sum(simd::row_blocks(count, n), count * n, [&](Index begin, Index end) {
            double sum = 0;
            for (Index i = begin; i < end; ++i) {
                const Index row = first + i;
                const auto numbers = simd::source<T>(s.row(i).data);
                T& own = s(i, row);
                const auto positive = static_cast<double>(own);
                own = -std::numeric_limits<T>::infinity();
                const double shift =
                    common ? *common
                           : (std::max)(positive, static_cast<double>(simd::row_max(n, numbers)));
                const double others = simd::row_sum(
                    n, std::array{numbers}, std::array{simd::sink(s.row(i).data)},
                    [shift](auto z, auto& e) { return e = bounded_exp(z - V(shift)); });
                own = static_cast<T>(-others);
                const double w = scale(row);
                const double loss = detail::softmax_loss(positive, shift, others);
                weight[row] = w / (std::exp(positive - shift) + others);
                sum += w * loss;
                if (per_sample)
                    per_sample.put(per_sample.view(row), static_cast<T>(loss));
            }
            return sum;
        });
        const auto weigh = [&](const MatrixView<const T>& rows, const MatrixView<T>& to) {
            const Destination<T, 2> out{to, 1, Mode::overwrite};
            parallel_for(count, count * d, [&](Index i) {
                simd::row_map(d, std::array{simd::source(rows.row(i))},
                              std::array{simd::sink(out, i, weight[first + i])},
                              [](auto u, auto& v) { v = u; });
            });
        };
        if (gq) {
            const MatrixView<T> g = gx.block(first, 0, count, d);
            linalg::product(g, sharpness, s, y, 0);
            weigh(g, g);
        }
        if (gk) {
            const MatrixView<T> g = weighted.block(0, 0, count, d);
            weigh(own_q, g);
            linalg::product(gy, sharpness, s.transposed(), g, 1);
        }
    }
    queries.pull(gx, gq);
    keys.pull(gy, gk);
    return total;
}

TEMPER_INSTANTIATE(kernel::InfoNce);

} // namespace temper::inline TEMPER_ABI
#endif
