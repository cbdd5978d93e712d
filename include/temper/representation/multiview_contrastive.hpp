// SPDX-License-Identifier: BSL-1.0
#pragma once

// Supervised contrastive loss over views (SupCon): views of one sample, or of one class, attract each
// other, all others repel.
//
//   f_a = z_a / |z_a|                     the N = n v rows of all views
//   s_ab = <f_a, f_b> / T
//   P(a) = the b != a of the same sample (with labels: of the same label)
//   l_a = -(T / B) mean_{b in P(a)} [ s_ab - log sum_{c != a} exp s_ac ]
//   L = (1 / N) sum_a l_a
//
// z features [n, v, d], labels(y) [n] or none. B the base temperature. All views are anchors; positives
// stand in the denominators, too. An anchor without a positive contributes 0 and is counted (the published
// code gives NaN); n = 0, or one row in all: 0. Rows are divided by max(|z|, 1e-12); a zero row gets no
// gradient. Similarities are kept for a block of anchors at a time, never for all.
// Throws ShapeError; RangeError for temperatures that are not positive and for negative labels.
// Khosla et al., Supervised Contrastive Learning (2020); as in Doebler et al., Robust Mean Teacher for
// Continual and Gradual Test-Time Adaptation (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct MultiviewContrastive {
    static constexpr std::string_view name = "MultiviewContrastive";
    double temperature = 0.1;
    double base_temperature = 0.1;

    /// (z [, labels(y)] [, into(gz)])
    template <class Z, class... Rest>
    double operator()(const Z& z, const Rest&... rest) const;

    friend bool operator==(const MultiviewContrastive&, const MultiviewContrastive&) = default;
};

namespace kernel {
template <class T>
struct MultiviewContrastive {
    /// z [N, d] dense, overwritten by its gradient if `wants`; of[a] says whose anchor a is.
    static double run(const temper::MultiviewContrastive& loss, MatrixView<T> z,
                      const std::int64_t* of, bool wants);
    /// The same for the rows of [n, v, d].
    static double run(const temper::MultiviewContrastive& loss, const AnyView<const T>& z,
                      const std::int64_t* labels, const AnyDestination<T>& gz);
};
} // namespace kernel

template <class Z, class... Rest>
double MultiviewContrastive::operator()(const Z& z, const Rest&... rest) const
{
    accept<1, Labels>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    border.require(base_temperature > 0, "base_temperature", base_temperature, "positive");
    const auto zs = border.sample_tensor("features", z);
    if (zs.rank != 3)
        fail<ShapeError>(name, "features", joined({"has shape ", shape_text(zs)}), "[n, views, d]");
    const std::int64_t* y = nullptr;
    if constexpr (!std::is_same_v<decltype(named<Labels>(rest...)), detail::Absent>)
        y = border.labels("labels", named<Labels>(rest...), zs.extent(0),
                          std::numeric_limits<std::int64_t>::max());
    const auto gz = border.sample_gradient("features", zs, positional<0>(rest...));
    return border.finish(kernel::MultiviewContrastive<T>::run(*this, zs, y, gz));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/loops.hpp>
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MultiviewContrastive<T>::run(const temper::MultiviewContrastive& loss,
                                            const AnyView<const T>& z, const std::int64_t* labels,
                                            const AnyDestination<T>& gz)
{
    Workspace::Frame frame;
    const Index views = z.extent(1);
    const Index rows = z.extent(0) * views;
    const MatrixView<T> dense = frame.matrix<T>(rows, z.extent(2));
    auto* of = frame.take<std::int64_t>(rows);
    for (Index a = 0; a < rows; ++a)
        of[a] = labels != nullptr ? labels[a / views] : static_cast<std::int64_t>(a / views);
    simd::map(simd::in(z), simd::out(simd::dense_like(dense.data, z)),
              [](auto x, auto& y) { y = x; });
    const double value = run(loss, dense, of, static_cast<bool>(gz));
    if (gz) {
        auto g = AnyView<const T>(z);
        const AnyView<T> like = simd::dense_like(dense.data, z).view;
        g.data = like.data;
        g.strides = like.strides;
        simd::map(simd::in(g), simd::out(gz), [](auto x, auto& y) { y = x; });
    }
    return value;
}

template <class T>
double kernel::MultiviewContrastive<T>::run(const temper::MultiviewContrastive& loss,
                                            MatrixView<T> z, const std::int64_t* of, bool wants)
{
    const Index n = z.rows();
    if (z.size() == 0)
        return 0;
    Workspace::Frame frame;
    const simd::UnitRows<T> unit(frame, z, 1e-12);
    const MatrixView<const T> u = unit.u;
    const MatrixView<T> gu = frame.matrix_like(u);
    const auto to = wants ? Mode::overwrite : Mode::discard;
    simd::map(simd::in(u), simd::out(Destination<T, 2>{gu, 1, to}),
              [](auto x, auto& y) { y = decltype(x)(0); });
    const Index block = (std::min)(n, Index{64});
    const MatrixView<T> room = frame.matrix<T>(block, n);
    const double share = loss.temperature / loss.base_temperature / static_cast<double>(n);
    double value = 0;
    auto* losses = frame.take<double>(block);
    for (Index begin = 0; begin < n; begin += block) {
        const Index height = (std::min)(block, n - begin);
        const MatrixView<T> s = room.block(0, 0, height, n);
        const auto anchors = u.block(begin, 0, height, u.cols());
        linalg::product(s, 1 / loss.temperature, anchors, u.transposed(), 0.0);
        // Each row becomes the gradient of its anchor's loss with respect to its similarities.
        parallel_for(height, s.size(), [&](Index i) {
            const Index a = begin + i;
            T* row = &s(i, Index{0});
            row[a] = -std::numeric_limits<T>::infinity();
            const T most = simd::row_max(n, simd::source(static_cast<const T*>(row)));
            double attraction = 0;
            Index positives = 0;
            for (Index b = 0; b < n; ++b)
                if (b != a && of[b] == of[a]) {
                    attraction += static_cast<double>(row[b] - most);
                    ++positives;
                }
            losses[i] = 0;
            if (positives == 0) {
                std::fill(row, row + n, T(0));
                return;
            }
            const double sum =
                simd::row_sum(n, std::array{simd::source(static_cast<const T*>(row))},
                              std::array{simd::sink(row)}, [most](auto x, auto& y) {
                                  y = exp(x - decltype(x)(most));
                                  return y;
                              });
            losses[i] = std::log(sum) - attraction / static_cast<double>(positives);
            const auto spread = static_cast<T>(share / sum);
            simd::row_map(n, std::array{simd::source(static_cast<const T*>(row))},
                          std::array{simd::sink(row)},
                          [spread](auto x, auto& y) { y = x * decltype(x)(spread); });
            const auto pull = static_cast<T>(share / static_cast<double>(positives));
            for (Index b = 0; b < n; ++b)
                if (b != a && of[b] == of[a])
                    row[b] -= pull;
        });
        for (Index i = 0; i < height; ++i)
            value += share * losses[i];
        if (wants) {
            const double rate = 1 / loss.temperature;
            linalg::product(gu.block(begin, 0, height, u.cols()), rate, MatrixView<const T>(s), u,
                            1.0);
            linalg::product(gu, rate, MatrixView<const T>(s.transposed()), anchors, 1.0);
        }
    }
    if (wants)
        unit.pull(gu, {z, 1, Mode::overwrite});
    return value;
}

TEMPER_INSTANTIATE(kernel::MultiviewContrastive);

} // namespace temper::inline TEMPER_ABI
#endif
