// SPDX-License-Identifier: BSL-1.0
#pragma once

// NT-Xent, the loss of SimCLR: each view of a sample shall find the other among all 2n views of a batch.
//
//   z = the rows of z_a, then those of z_b; r' is the other view of r
//   s_rq = <z_r, z_q> / tau            of unit vectors z / max(|z|, epsilon), or (dot) as they are
//   l_r = log sum_{q != r} exp(s_rq) - s_rr'
//   L = reduce_i w_i (l_i + l_{i+n}) / 2
//   dL/dz = (G + G') z / tau,   G_rq = c_r (p_rq - [q = r']),  p_r the softmax over q != r,  c_r = w_r / 2
//   as reduced; from there back through the lengths
//
// z_a, z_b [n, d], both differentiable; tau = temperature. w sample weights [n], 1 where not given, the
// mean is over their sum. Per sample: (l_i + l_{i+n}) / 2, without weights. The positive is among those it
// is compared with, the row itself is not. The 2n x 2n matrix is never stored: memory grows with n d.
// n = 1: nothing to tell apart, 0 with zero gradient; n = 0: 0. A row with |z_r| <= epsilon gets no
// gradient, by convention, and a zero row has similarity 0. Throws ShapeError; RangeError for a temperature
// that is not positive and a negative epsilon.
// Chen et al., A simple framework for contrastive learning of visual representations (2020).

#include <temper/representation/similarity.hpp>

namespace temper::inline TEMPER_ABI {

struct NtXent {
    static constexpr std::string_view name = "NtXent";
    double temperature = 0.5;
    Similarity similarity = Similarity::cosine;
    Reduction reduction = Reduction::mean;
    double epsilon = 1e-12;

    /// (z_a, z_b [, sample_weights(w)] [, into(g_a), into(g_b)] [, per_sample(into(v))])
    template <class A, class B, class... Rest>
    double operator()(const A& z_a, const B& z_b, const Rest&... rest) const;

    friend bool operator==(const NtXent&, const NtXent&) = default;
};

namespace kernel {
template <class T>
struct NtXent {
    static double run(const temper::NtXent& how, MatrixView<const T> z_a, MatrixView<const T> z_b,
                      RowScale<T> scale, const Destination<T, 2>& g_a, const Destination<T, 2>& g_b,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class A, class B, class... Rest>
double NtXent::operator()(const A& z_a, const B& z_b, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<A, B>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto a = border.samples("z_a", z_a);
    const auto b = border.samples("z_b", z_b);
    border.same_shape("z_b", b, "z_a", a);
    const Index n = a.rows();
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as z_a has rows");
    const auto g_a = border.gradient("z_a", a, positional<0>(rest...));
    const auto g_b = border.gradient("z_b", b, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(
        kernel::NtXent<T>::run(*this, a, b, row_scale(reduction, n, weights), g_a, g_b, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::NtXent<T>::run(const temper::NtXent& how, MatrixView<const T> z_a,
                              MatrixView<const T> z_b, RowScale<T> scale,
                              const Destination<T, 2>& g_a, const Destination<T, 2>& g_b,
                              const Destination<T, 1>& per_sample)
{
    using simd::sink;
    using simd::source;
    using V = simd::Pack<T>;
    const Index n = z_a.rows();
    const Index d = z_a.cols();
    const Index m = 2 * n;
    const auto partner = [n](Index r) { return r < n ? r + n : r - n; };
    Workspace::Frame frame;
    const MatrixView<T> z = frame.matrix_like(MatrixView<const T>{nullptr, {m, d}, z_a.strides});
    const detail::ComparedRows<T> a(frame, how.similarity, how.epsilon, z_a, z.block(0, 0, n, d));
    const detail::ComparedRows<T> b(frame, how.similarity, how.epsilon, z_b, z.block(n, 0, n, d));

    // s is symmetric: of two tiles one is made, and serves the rows of both. Rows themselves and their
    // partners are struck out; `meet(r, s)` is told what stood in the partner's place.
    const double sharpness = 1 / how.temperature;
    const detail::SimilarityTiles<T> tiles(frame, sharpness, z, z);
    using Tile = detail::SimilarityTile<T>;
    const auto make = [&](Index i, Index j, const auto& meet) {
        constexpr T nothing = -std::numeric_limits<T>::infinity();
        const Tile tile = tiles.make(i, j);
        for (Index r = tile.row; r < tile.row + tile.rows(); ++r) {
            if (T* const self = tile.find(r, r))
                *self = nothing;
            if (T* const entry = tile.find(r, partner(r))) {
                meet(r, *entry);
                *entry = nothing;
            }
        }
        return tile;
    };
    const auto each_pair = [&](const auto& body) {
        parallel_pairs(tiles.rows.count(), tiles.work, body);
    };

    // What is taken off the similarities of a row: one number for all rows, or their maxima.
    T* const shift = frame.take<T>(m);
    const double bound = how.similarity == Similarity::cosine ? 1 : detail::largest_square<T>(z);
    const std::optional<double> common = detail::common_shift<T>(bound * sharpness);
    std::fill_n(shift, m, static_cast<T>(common.value_or(std::numeric_limits<T>::lowest())));
    if (!common)
        each_pair([&](Index i, Index j) {
            const Tile tile = make(i, j, [&](Index r, T s) {
                shift[r] = (std::max)(shift[r], s);
                shift[partner(r)] = (std::max)(shift[partner(r)], s);
            });
            for (Index r = 0; r < tile.rows(); ++r) {
                T& largest = shift[tile.row + r];
                largest = (std::max)(largest, simd::row_max(tile.cols(), source<T>(tile[r])));
                T* const of_columns = shift + tile.column;
                if (i != j)
                    simd::row_map(tile.cols(),
                                  std::array{source<T>(tile[r]), source<T>(of_columns)},
                                  std::array{sink(of_columns)},
                                  [](auto s, auto most, auto& to) { to = max(s, most); });
            }
        });

    auto* const positive = frame.take<double>(m);
    auto* const others =
        frame.take_zeros<double>(m); // the sum of all that is raised but the partner
    each_pair([&](Index i, Index j) {
        const Tile tile = make(i, j, [&](Index r, T s) {
            positive[r] = positive[partner(r)] = static_cast<double>(s);
        });
        std::fill_n(tile.of_columns, tile.cols(), T(0));
        const std::array sums{simd::Sink<T>{tile.of_columns, 1, T(1), Mode::add}};
        for (Index r = 0; r < tile.rows(); ++r) {
            const V own(shift[tile.row + r]);
            others[tile.row + r] +=
                common
                    ? simd::row_sum(tile.cols(), std::array{source<T>(tile[r])}, sums,
                                    [own](auto s, auto& sum) { return sum = bounded_exp(s - own); })
                    : simd::row_sum(tile.cols(),
                                    std::array{source<T>(tile[r]), source<T>(shift + tile.column)},
                                    sums, [own](auto s, auto other, auto& sum) {
                                        sum = bounded_exp(s - other);
                                        return bounded_exp(s - own);
                                    });
        }
        for (Index q = 0; i != j && q < tile.cols(); ++q)
            others[tile.column + q] += static_cast<double>(tile.of_columns[q]);
    });

    // G + G' is exp(s_rq) (weight_r + weight_q), and -pull_r - pull_q for partners.
    T* const weight = frame.take<T>(m);
    auto* const pull = frame.take<double>(m);
    double total = 0;
    for (Index i = 0; i < n; ++i) {
        double loss = 0;
        for (const Index r : {i, i + n}) {
            const auto off = static_cast<double>(shift[r]);
            const double one = 1 / (std::exp(positive[r] - off) + others[r]) * (scale(i) / 2);
            weight[r] = static_cast<T>(one);
            pull[r] = one * others[r];
            loss += detail::softmax_loss(positive[r], off, others[r]) / 2;
        }
        total += scale(i) * loss;
        if (per_sample)
            per_sample.put(per_sample.view(i), static_cast<T>(loss));
    }
    if (!g_a && !g_b)
        return total;

    const MatrixView<T> gz = frame.zeros_like(z);
    const auto wanted = [&](Index block) {
        return (g_a && tiles.rows.begin(block) < n) || (g_b && tiles.rows.end(block) > n);
    };
    each_pair([&](Index i, Index j) {
        if (!wanted(i) && !wanted(j))
            return;
        const Tile tile = make(i, j, [](Index, T) {});
        for (Index r = 0; r < tile.rows(); ++r) {
            const V own(shift[tile.row + r]);
            const V mine(weight[tile.row + r]);
            const auto s = source<T>(tile[r]);
            const auto theirs = source<T>(weight + tile.column);
            const std::array to{sink(tile[r])};
            if (common)
                simd::row_map(tile.cols(), std::array{s, theirs}, to, [=](auto x, auto w, auto& g) {
                    g = bounded_exp(x - own) * (mine + w);
                });
            else
                simd::row_map(tile.cols(), std::array{s, theirs, source<T>(shift + tile.column)},
                              to, [=](auto x, auto w, auto other, auto& g) {
                                  g = fma(bounded_exp(x - own), mine, bounded_exp(x - other) * w);
                              });
        }
        for (Index r = tile.row; r < tile.row + tile.rows(); ++r)
            if (T* const entry = tile.find(r, partner(r)))
                *entry = static_cast<T>(-pull[r] - pull[partner(r)]);
        if (wanted(i))
            tiles.add_rows(tile, gz);
        if (i != j && wanted(j))
            tiles.add_cols(tile, gz);
    });
    a.pull(gz.block(0, 0, n, d), g_a);
    b.pull(gz.block(n, 0, n, d), g_b);
    return total;
}

TEMPER_INSTANTIATE(kernel::NtXent);

} // namespace temper::inline TEMPER_ABI
#endif
