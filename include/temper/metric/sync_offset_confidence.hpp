// SPDX-License-Identifier: BSL-1.0
#pragma once

// By how many frames sound and pictures are apart, and how sure that is.
//
//   D_ij = | visual_i - padded_{i+j} + 1e-6 |      padded: `shifts` zero rows, audio, `shifts` zero rows
//   m_j = mean_i D_ij, j = 0 .. 2 shifts           the 1e-6 is added to every component
//   offset = shifts - argmin_j m_j                 the first of equal ones; positive: the audio leads
//   confidence = median(m) - min(m)
//
// visual, audio [t, d]: embeddings of windows that begin at frame 0, 1, ...; `mean_distance` is [2 shifts + 1].
// The first and last rows are compared with zeros as well, as in the authors' code. NaN anywhere in the
// distances: confidence and min_distance are NaN. t = 0: all distances are 0. No gradients.
// Throws ShapeError; RangeError for negative shifts.
// Li et al., LatentSync: audio conditioned latent diffusion models for lip sync (2024); Chung and Zisserman,
// Out of time: automated lip sync in the wild (2016).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SyncOffset {
    Index offset = 0;
    double min_distance = 0;
    double confidence = 0;
};

struct SyncOffsetConfidence {
    static constexpr std::string_view name = "SyncOffsetConfidence";
    Index shifts = 15;

    /// (visual, audio [, into(mean_distance)])
    template <class V, class A, class... Rest>
    SyncOffset operator()(const V& visual, const A& audio, const Rest&... rest) const;

    friend bool operator==(const SyncOffsetConfidence&, const SyncOffsetConfidence&) = default;
};

namespace kernel {
template <class T>
struct SyncOffsetConfidence {
    static SyncOffset run(Index shifts, MatrixView<const T> visual, MatrixView<const T> audio,
                          const Destination<T, 1>& mean_distance);
};
} // namespace kernel

template <class V, class A, class... Rest>
SyncOffset SyncOffsetConfidence::operator()(const V& visual, const A& audio,
                                            const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<V, A>;
    Border<T> border(name);
    border.require(shifts >= 0, "shifts", static_cast<double>(shifts), "non-negative");
    const auto v = border.samples("visual", visual);
    const auto a = border.samples("audio", audio);
    border.same_shape("audio", a, "visual", v);
    const auto means =
        border.template output<1>("mean_distance", positional<0>(rest...), {2 * shifts + 1});
    const SyncOffset found = kernel::SyncOffsetConfidence<T>::run(shifts, v, a, means);
    border.finish();
    return found;
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
SyncOffset kernel::SyncOffsetConfidence<T>::run(Index shifts, MatrixView<const T> visual,
                                                MatrixView<const T> audio,
                                                const Destination<T, 1>& mean_distance)
{
    const Index t = visual.rows();
    const Index d = visual.cols();
    const Index n = 2 * shifts + 1;
    Workspace::Frame frame;
    auto* const means = frame.take<double>(n);
    auto* const zeros = frame.take_zeros<T>(d);
    parallel_for(n, n * t * d, [&](Index j) {
        double total = 0;
        for (Index i = 0; i < t; ++i) {
            const Index row = i + j - shifts;
            const auto sound =
                row >= 0 && row < t ? simd::source<T>(audio.row(row)) : simd::source<T>(zeros);
            total += std::sqrt(simd::row_sum(d, std::array{simd::source<T>(visual.row(i)), sound},
                                             [](auto x, auto y) {
                                                 using V = decltype(x);
                                                 const V apart = (x - y) + V(T(1e-6));
                                                 return apart * apart;
                                             }));
        }
        means[j] = t == 0 ? 0 : total / static_cast<double>(t);
    });

    Index best = 0;
    bool is_nan = false;
    for (Index j = 0; j < n; ++j) {
        is_nan = is_nan || std::isnan(means[j]);
        best = means[j] < means[best] ? j : best;
        if (mean_distance)
            mean_distance.put(mean_distance.view(j), static_cast<T>(means[j]));
    }
    const double least = means[best];
    if (is_nan) {
        const double nan = std::numeric_limits<double>::quiet_NaN();
        return {shifts - best, nan, nan};
    }
    std::nth_element(means, means + shifts, means + n);
    return {shifts - best, least, means[shifts] - least};
}

TEMPER_INSTANTIATE(kernel::SyncOffsetConfidence);

} // namespace temper::inline TEMPER_ABI
#endif
