// SPDX-License-Identifier: BSL-1.0
#pragma once

// A vision transformer's patch features taken apart: what belongs to the image, what belongs to the position,
// and a remainder.
//
//   p = clean + shared (+ residual, held fixed)
//   L = mean (p - raw)^2 + mean over rows of (1 - cos(p, raw))
//       (+ w_residual mean (residual - (raw - clean - shared))^2 + w_sparsity mean |residual|)
//   to clean and shared, alike:  2 (p - raw) / (m d) + that of the cosine / m
//   to residual:                 2 w_residual (residual - (raw - clean - shared)) / (m d)
//                                + w_sparsity sign(residual) / (m d)
//
// raw [m, d] patch features, clean the neural field's, shared the artifact at the patch's position, residual
// the predictor's. What stands in brackets is there if use_residual, which training turns on half-way (and
// freezes `shared` from then on). Nothing flows from the first line to residual, nor from the second to clean
// and shared. sign(0) = 0. A row no longer than epsilon has cosine 0 and no gradient by it. m = 0: 0.
// A denoiser is then trained to the clean features of many images: MeanSquaredError and CosineAlignment with
// CosineForm::distance. Throws ShapeError; RangeError for a negative epsilon.
// Yang et al., Denoising vision transformers (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct ArtifactDecompositionLoss {
    static constexpr std::string_view name = "ArtifactDecompositionLoss";
    bool use_residual = false;
    double w_residual = 0.1;
    double w_sparsity = 0.02;
    double epsilon = 1e-8;

    /// (raw, clean, shared, residual [, into(g_clean), into(g_shared), into(g_residual)])
    template <class X, class C, class S, class R, class... Rest>
    double operator()(const X& raw, const C& clean, const S& shared, const R& residual,
                      const Rest&... rest) const;

    friend bool operator==(const ArtifactDecompositionLoss&,
                           const ArtifactDecompositionLoss&) = default;
};

namespace kernel {
template <class T>
struct ArtifactDecompositionLoss {
    static double run(const temper::ArtifactDecompositionLoss& how, MatrixView<const T> raw,
                      MatrixView<const T> clean, MatrixView<const T> shared,
                      MatrixView<const T> residual, const Destination<T, 2>& g_clean,
                      const Destination<T, 2>& g_shared, const Destination<T, 2>& g_residual);
};
} // namespace kernel

template <class X, class C, class S, class R, class... Rest>
double ArtifactDecompositionLoss::operator()(const X& raw, const C& clean, const S& shared,
                                             const R& residual, const Rest&... rest) const
{
    accept<3>(rest...);
    using T = KernelScalarOf<X, C, S, R>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto x = border.samples("raw", raw);
    const auto c = border.samples("clean", clean);
    const auto s = border.samples("shared", shared);
    const auto r = border.samples("residual", residual);
    border.same_shape("clean", c, "raw", x);
    border.same_shape("shared", s, "raw", x);
    border.same_shape("residual", r, "raw", x);
    const auto gc = border.gradient("clean", c, positional<0>(rest...));
    const auto gs = border.gradient("shared", s, positional<1>(rest...));
    const auto gr = border.gradient("residual", r, positional<2>(rest...));
    return border.finish(kernel::ArtifactDecompositionLoss<T>::run(*this, x, c, s, r, gc, gs, gr));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::ArtifactDecompositionLoss<T>::run(const temper::ArtifactDecompositionLoss& how,
                                                 MatrixView<const T> raw, MatrixView<const T> clean,
                                                 MatrixView<const T> shared,
                                                 MatrixView<const T> residual,
                                                 const Destination<T, 2>& g_clean,
                                                 const Destination<T, 2>& g_shared,
                                                 const Destination<T, 2>& g_residual)
{
    if (raw.rows() == 0)
        return 0;
    Workspace::Frame frame;
    const MatrixView<T> made = frame.matrix_like(raw);
    const MatrixView<const T> p = made;
    const Destination<T, 2> into_p{made, 1, Mode::overwrite};
    const double per_row = 1 / static_cast<double>(raw.rows());
    const double per_entry = per_row * entry_scale(MeanOver::entries, raw.cols());
    const double active = how.use_residual ? 1 : 0;
    const bool use = how.use_residual;
    const auto all = simd::operands(raw, clean, shared, residual, p, g_clean, g_shared, g_residual);
    return simd::sum_tiles<T>(all, 0, [&](const auto& tile) {
        const auto sums = tile.template sums<2>([=](auto at) {
            const auto without = at(clean) + at(shared);
            const auto whole = use ? without + at(residual) : without;
            at.put(into_p, whole);
            const auto apart = whole - at(raw);
            return std::array{apart * apart, abs(at(residual))};
        });
        const auto pairs = simd::unit_pairs(tile, p, raw, how.epsilon);
        double total = 0;
        auto slope = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            // residual - (raw - clean - shared) is p - raw once more.
            total += per_entry * (1 + active * how.w_residual) * sums[0][i] +
                     per_row * pairs.opening[i] + active * per_entry * how.w_sparsity * sums[1][i];
            slope[i] = static_cast<T>(per_row);
        }
        tile.each([=, of_a = pairs.a, of_b = pairs.b, along = pairs.along_a,
                   twice = static_cast<T>(2 * per_entry),
                   of_residual = static_cast<T>(2 * per_entry * active * how.w_residual),
                   of_size = static_cast<T>(per_entry * active * how.w_sparsity)](auto at) {
            using V = decltype(at(p));
            const auto apart = at(p) - at(raw);
            const auto a = at(p) * at(of_a.forward);
            const auto e = at(raw) * at(of_b.forward) - a;
            const auto g = V(twice) * apart + (at(along) * a - e) * at(of_a.backward) * at(slope);
            at.put(g_clean, g);
            at.put(g_shared, g);
            at.put(g_residual, V(of_residual) * apart + V(of_size) * sign(at(residual)));
        });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::ArtifactDecompositionLoss);

} // namespace temper::inline TEMPER_ABI
#endif
