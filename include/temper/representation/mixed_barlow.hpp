// SPDX-License-Identifier: BSL-1.0
#pragma once

// What MixedBarlowRegularizer and MixedBarlowTwins share: one kernel, for the term of the mixture and, where
// it is wanted, the loss of Barlow Twins on the same standardised batches. The equations are told in
// their headers.

#include <temper/representation/barlow_twins.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {
/// mixed (|D' A / n|^2 + |D' B / n|^2), and the loss of Barlow Twins where it is wanted.
template <class T>
struct MixedBarlow {
    struct Terms {
        double mixed = 0;
        bool twins = false;
        double lambda = 0;
    };
    /// How each row was mixed: own[i] of row i and other[i] of row partner[i], a permutation.
    struct Mixture {
        const std::int64_t* partner;
        const T* own;
        const T* other;
        bool one_alpha; ///< are these the same for all rows of all ranks, as far as is known?
    };
    static double run(const Terms& terms, MatrixView<const T> z_a, MatrixView<const T> z_b,
                      MatrixView<const T> z_m, const Mixture& mixture, const Destination<T, 2>& g_a,
                      const Destination<T, 2>& g_b, const Destination<T, 2>& g_m,
                      const Ranks<T>& ranks);
    /// The same on the rows of all ranks.
    static double run_gathered(const Terms& terms, MatrixView<const T> z_a, MatrixView<const T> z_b,
                               MatrixView<const T> z_m, const Mixture& mixture,
                               const Destination<T, 2>& g_a, const Destination<T, 2>& g_b,
                               const Destination<T, 2>& g_m, const Ranks<T>& ranks);
};
} // namespace kernel

namespace detail {
/// The call that the regularizer and the whole objective share.
template <class T, class A, class B, class M, class I, class... Rest>
double mixed_barlow(Border<T>& border, const typename kernel::MixedBarlow<T>::Terms& terms,
                    const A& z_a, const B& z_b, const M& z_m, const I& index, double alpha,
                    const Rest&... rest)
{
    accept<3, OverRanks>(rest...);
    const auto a = border.samples("z_a", z_a);
    const auto b = border.samples("z_b", z_b);
    const auto m = border.samples("z_m", z_m);
    border.same_shape("z_b", b, "z_a", a);
    border.same_shape("z_m", m, "z_a", a);
    const auto* partner = border.permutation("index", index, a.rows());
    border.require(alpha >= 0 && alpha <= 1, "alpha", alpha, "from 0 to 1");
    const Index n = a.rows();
    T* const mixed = border.scratch().template take<T>(2 * n);
    std::fill_n(mixed, n, static_cast<T>(alpha));
    std::fill_n(mixed + n, n, static_cast<T>(1 - alpha));
    const auto g_a = border.gradient("z_a", a, positional<0>(rest...));
    const auto g_b = border.gradient("z_b", b, positional<1>(rest...));
    const auto g_m = border.gradient("z_m", m, positional<2>(rest...));
    const auto ranks = Ranks<T>::of_loss(border.component(), n, rest...);
    return border.finish(kernel::MixedBarlow<T>::run(
        terms, a, b, m, {partner, mixed, mixed + n, !ranks}, ranks.scaled(g_a), ranks.scaled(g_b),
        ranks.scaled(g_m), ranks));
}
} // namespace detail

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MixedBarlow<T>::run(const Terms& terms, MatrixView<const T> z_a,
                                   MatrixView<const T> z_b, MatrixView<const T> z_m,
                                   const Mixture& mixture, const Destination<T, 2>& g_a,
                                   const Destination<T, 2>& g_b, const Destination<T, 2>& g_m,
                                   const Ranks<T>& ranks)
{
    const Index rows = z_a.rows();
    const Index n = ranks.all_rows(rows);
    const Index d = z_a.cols();
    if (n == 0)
        return 0;
    const bool by_gram = n < d;
    if (ranks && by_gram)
        return run_gathered(terms, z_a, z_b, z_m, mixture, g_a, g_b, g_m, ranks);
    Workspace::Frame frame;
    const MatrixView<T> difference = frame.matrix<T>(rows, d);
    // Rows are permuted, so batches are stored by rows as `difference` is, whatever the inputs are.
    const auto batches =
        simd::standard_batches<T>(frame, simd::ColumnScaling{.epsilon = 0, .unbiased = true}, ranks,
                                  std::array{z_a, z_b, z_m}, difference);
    const simd::StandardBatch<T>& a = batches[0];
    const simd::StandardBatch<T>& b = batches[1];
    const simd::StandardBatch<T>& m = batches[2];
    const auto blocks = simd::row_blocks(rows, d);
    const auto for_rows = [&](const auto& body) {
        parallel_for(blocks.count(), rows * d, [&](Index block) {
            for (Index i = blocks.begin(block); i < blocks.end(block); ++i)
                body(i);
        });
    };
    const auto row = [](const auto& v, Index i) { return v.data + i * v.strides[0]; };
    for_rows([&](Index i) {
        simd::row_map(
            d,
            std::array{simd::source<T>(row(m.y, i)), simd::source<T>(row(a.y, i)),
                       simd::source<T>(row(b.y, mixture.partner[i]))},
            std::array{simd::sink(row(difference, i))},
            [p = mixture.own[i], q = mixture.other[i]](auto u, auto v, auto w, auto& out) {
                using V = decltype(u);
                out = u - V(p) * v - V(q) * w;
            });
    });

    // The value, and the matrices that multiply D, A and B on the way back. Gram form: symmetric n x n
    // ones from the left. Correlation form: D' A, D' B and the off-diagonal part of C from the right.
    const double each = 1 / static_cast<double>(n);
    const double lambda = terms.twins ? terms.lambda : 0;
    const double mixed_pull = 2 * each * terms.mixed;
    const double twins_pull = 2 * each * lambda;
    const Index size = by_gram ? n : d;
    const MatrixView<T> products = frame.matrix<T>(3 * size + 1, size);
    const MatrixView<T> for_a = products.block(0, 0, size, size);
    const MatrixView<T> for_b = products.block(size, 0, size, size);
    const MatrixView<T> third = products.block(2 * size, 0, size, size);
    typename BarlowTwins<T>::Diagonal diagonal{0, nullptr};
    double value = 0;
    if (by_gram) {
        linalg::gram(for_a, each, a.y, 0);
        linalg::gram(for_b, each, b.y, 0);
        linalg::gram(third, each, difference, 0);
        value = terms.mixed * (linalg::inner(third, for_a) + linalg::inner(third, for_b));
        if (terms.twins) {
            diagonal = BarlowTwins<T>::diagonal(frame, a.y, b.y, lambda, ranks, nullptr, 0);
            value += lambda * linalg::inner(for_a, for_b);
        }
        const auto onto = [](const MatrixView<T>& v) {
            return Destination<T, 2>{v, 1, Mode::overwrite};
        };
        simd::map(simd::in(for_a, for_b, third), simd::out(onto(for_a), onto(for_b), onto(third)),
                  [=](auto ka, auto kb, auto kd, auto& to_a, auto& to_b, auto& to_d) {
                      using V = decltype(ka);
                      to_a = V(twins_pull) * kb + V(mixed_pull) * kd;
                      to_b = V(twins_pull) * ka + V(mixed_pull) * kd;
                      to_d = V(mixed_pull) * (ka + kb);
                  });
    }
    else {
        linalg::product(for_a, each, difference.transposed(), a.y, 0);
        linalg::product(for_b, each, difference.transposed(), b.y, 0);
        if (terms.twins) {
            linalg::product(third, each, a.y.transposed(), b.y, 0);
            diagonal =
                BarlowTwins<T>::diagonal(frame, a.y, b.y, 0, ranks, products.data, 3 * d * d);
            for (Index j = 0; j < d; ++j)
                third(j, j) = 0;
            value = lambda * linalg::squared_norm(third);
        }
        else
            ranks.sum(products.data, 2 * d * d);
        value += terms.mixed * (linalg::squared_norm(for_a) + linalg::squared_norm(for_b));
    }
    value += diagonal.value;
    if (!g_a && !g_b && !g_m)
        return value;

    // dL/dD; D holds A and the permuted B.
    const MatrixView<T> of_d = frame.matrix<T>(rows, d);
    if (by_gram)
        linalg::product(of_d, 1, third, difference, 0);
    else {
        linalg::product(of_d, mixed_pull, a.y, for_a.transposed(), 0);
        linalg::product(of_d, mixed_pull, b.y, for_b.transposed(), 1);
    }
    T* const none = frame.take_zeros<T>(d);
    const simd::Centered centered = mixture.one_alpha ? simd::Centered::yes : simd::Centered::no;
    simd::StandardPullbacks<T> pullbacks(frame, ranks, d);
    const auto pull = [&](const simd::StandardBatch<T>& of, const T* part, const auto& to_row,
                          MatrixView<const T> matrix, MatrixView<const T> third_matrix,
                          const simd::StandardBatch<T>& other, const Destination<T, 2>& to) {
        const T* const twins = terms.twins ? diagonal.pull : none;
        pullbacks.add_made(of, twins, other.y, to, centered, [&](const MatrixView<T>& g) {
            for_rows([&](Index i) {
                simd::row_map(d, std::array{simd::source<T>(row(of_d, i))},
                              std::array{simd::sink(row(g, to_row(i)))},
                              [p = -part[i]](auto u, auto& v) { v = decltype(u)(p) * u; });
            });
            if (by_gram) {
                linalg::product(g, 1, matrix, of.y, 1);
                return;
            }
            linalg::product(g, mixed_pull, difference, matrix, 1);
            if (terms.twins)
                linalg::product(g, twins_pull, other.y, third_matrix, 1);
        });
    };
    pull(a, mixture.own, [](Index i) { return i; }, for_a, third.transposed(), b, g_a);
    pull(
        b, mixture.other, [&](Index i) { return Index{mixture.partner[i]}; }, for_b, third, a, g_b);
    pullbacks.add(m, of_d, none, m.y, g_m);
    pullbacks.finish();
    return value;
}

template <class T>
double kernel::MixedBarlow<T>::run_gathered(const Terms& terms, MatrixView<const T> z_a,
                                            MatrixView<const T> z_b, MatrixView<const T> z_m,
                                            const Mixture& mixture, const Destination<T, 2>& g_a,
                                            const Destination<T, 2>& g_b,
                                            const Destination<T, 2>& g_m, const Ranks<T>& ranks)
{
    // The mixture goes along as three columns more.
    Workspace::Frame frame;
    const Index rows = z_a.rows();
    const MatrixView<T> mixed = frame.matrix<T>(rows, 3);
    for (Index i = 0; i < rows; ++i) {
        T* const row = mixed.row(i).data;
        row[0] = static_cast<T>(ranks.offset() + mixture.partner[i]);
        row[1] = mixture.own[i];
        row[2] = mixture.other[i];
    }
    return simd::on_gathered_rows(
        ranks, std::array<MatrixView<const T>, 4>{z_a, z_b, z_m, mixed}, std::array{g_a, g_b, g_m},
        [&](const auto& z, const auto& g) {
            Workspace::Frame inner;
            const Index n = z[3].rows();
            auto* const partner = inner.take<std::int64_t>(n);
            T* const parts = inner.take<T>(2 * n);
            bool one_alpha = true;
            for (Index i = 0; i < n; ++i) {
                const auto row = static_cast<double>(z[3](i, Index{0}));
                if (!(row >= 0 && row < static_cast<double>(n))) [[unlikely]]
                    fail<RangeError>("over_ranks", "all_reduce", "changes what one rank gave",
                                     "a sum");
                partner[i] = static_cast<std::int64_t>(row);
                parts[i] = z[3](i, Index{1});
                parts[n + i] = z[3](i, Index{2});
                one_alpha = one_alpha && parts[i] == parts[0];
            }
            return run(terms, z[0], z[1], z[2], {partner, parts, parts + n, one_alpha}, g[0], g[1],
                       g[2], Ranks<T>());
        });
}

TEMPER_INSTANTIATE(kernel::MixedBarlow);

} // namespace temper::inline TEMPER_ABI
#endif
