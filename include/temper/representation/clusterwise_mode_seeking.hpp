// SPDX-License-Identifier: BSL-1.0
#pragma once

// Clusterwise mode seeking: what a generator makes of different codes shall differ, also among images that
// are nearest to the same real sample, where few-shot generators collapse first.
//
//   over pairs i < j of one cluster, |a - b| the mean absolute difference of two rows:
//   S = (1 / C) sum_ij ( |w_i - w_j| / |z_i - z_j| + sum_l |f_li - f_lj| / |w_i - w_j| )
//   L = 1 / (S + epsilon)                             C clusters of at least two members
//
// codes z [n, dz], styles w [n, dw], outputs tensors(images, features1, ...), each [n, d_l], cluster =
// labels(c) [n], from 0 up, the nearest real sample of each, through which nothing comes back. Gradients by w
// and by the outputs. Pairs are the members of a cluster, as the paper says; the published code walks over the
// first places of the batch instead. S is divided by clusters, not by pairs. A difference of 0 below a
// fraction line counts as 1e-12, without gradient. No cluster of two: 0. Throws ShapeError; RangeError for
// epsilon <= 0, negative clusters.
// Seo et al., LFS-GAN: Lifelong Few-Shot Image Generation (2023).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct ClusterwiseModeSeeking {
    static constexpr std::string_view name = "ClusterwiseModeSeeking";
    double epsilon = 1e-5;

    /// (z, w, tensors(images, ...), labels(cluster) [, into(gw), into(tensors(g_images, ...))])
    template <class Z, class W, class L, class Y, class... Rest>
    double operator()(const Z& codes, const W& styles, const L& outputs, const Y& cluster,
                      const Rest&... rest) const;

    friend bool operator==(const ClusterwiseModeSeeking&, const ClusterwiseModeSeeking&) = default;
};

namespace kernel {
template <class T>
struct ClusterwiseModeSeeking {
    static double run(double epsilon, MatrixView<const T> z, MatrixView<const T> w,
                      std::span<const AnyView<const T>> outputs, const std::int64_t* cluster,
                      const Destination<T, 2>& gw, std::span<const AnyDestination<T>> g_outputs);
};
} // namespace kernel

template <class Z, class W, class L, class Y, class... Rest>
double ClusterwiseModeSeeking::operator()(const Z& codes, const W& styles, const L& outputs,
                                          const Y& cluster, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<Z, W>;
    Border<T> border(name);
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    const auto z = border.samples("codes", codes);
    const Index n = z.rows();
    const auto w = border.samples("styles", styles);
    border.expect_shape("styles", w, {n, w.cols()}, "as codes has rows");
    const auto out = border.list("outputs", outputs);
    for (const auto& tensor : out)
        border.expect_shape("outputs", tensor, {n, tensor.rank == 2 ? tensor.extent(1) : 0},
                            "as codes has rows");
    const auto* c = border.labels("cluster", cluster, n, (std::numeric_limits<Index>::max)());
    const auto gw = border.gradient("styles", w, positional<0>(rest...));
    const auto g_out = border.gradient("outputs", out, positional<1>(rest...));
    return border.finish(kernel::ClusterwiseModeSeeking<T>::run(epsilon, z, w, out, c, gw, g_out));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double
kernel::ClusterwiseModeSeeking<T>::run(double epsilon, MatrixView<const T> z, MatrixView<const T> w,
                                       std::span<const AnyView<const T>> outputs,
                                       const std::int64_t* cluster, const Destination<T, 2>& gw,
                                       std::span<const AnyDestination<T>> g_outputs)
{
    constexpr double least = 1e-12;
    const Index n = z.rows();
    const auto count = static_cast<Index>(outputs.size());
    Workspace::Frame frame;
    // Gradients of S, before the factor that all of them share.
    const MatrixView<T> of_w = frame.matrix<T>(n, w.cols());
    std::fill_n(of_w.data, of_w.size(), T(0));
    auto* const of_outputs = frame.take<MatrixView<T>>(count);
    for (Index l = 0; l < count; ++l) {
        const auto& tensor = outputs[static_cast<std::size_t>(l)];
        of_outputs[l] = frame.matrix<T>(n, tensor.extent(1));
        std::fill_n(of_outputs[l].data, of_outputs[l].size(), T(0));
    }
    const auto difference = [](MatrixView<const T> a, Index i, Index j) {
        if (a.cols() == 0)
            return 0.0;
        return simd::row_sum(a.cols(), std::array{simd::source(a.row(i)), simd::source(a.row(j))},
                             [](auto x, auto y) { return abs(x - y); }) /
               static_cast<double>(a.cols());
    };
    const auto pull = [](MatrixView<const T> a, Index i, Index j, MatrixView<T> g, double factor) {
        const auto rate = static_cast<T>(factor / static_cast<double>(a.cols()));
        const auto row = [&](Index of, T scale) {
            return simd::Sink<T>{g.data + of * g.strides[0], 1, scale, Mode::add};
        };
        simd::row_map(a.cols(), std::array{simd::source(a.row(i)), simd::source(a.row(j))},
                      std::array{row(i, rate), row(j, -rate)},
                      [](auto x, auto y, auto& to, auto& from) {
                          to = sign(x - y);
                          from = to;
                      });
    };
    double sum = 0;
    Index clusters = 0;
    for (Index i = 0; i < n; ++i) {
        bool is_first = true;
        for (Index j = 0; j < i; ++j)
            is_first = is_first && cluster[j] != cluster[i];
        bool has_second = false;
        for (Index j = i + 1; j < n; ++j) {
            if (cluster[j] != cluster[i])
                continue;
            has_second = true;
            const double dz = (std::max)(difference(z, i, j), least);
            const double dw = difference(w, i, j);
            const double below = (std::max)(dw, least);
            double made = 0;
            for (Index l = 0; l < count; ++l) {
                const auto f = outputs[static_cast<std::size_t>(l)].template as<2>();
                made += difference(f, i, j);
                if (g_outputs[static_cast<std::size_t>(l)])
                    pull(f, i, j, of_outputs[l], 1 / below);
            }
            sum += dw / dz + made / below;
            if (gw)
                pull(w, i, j, of_w, 1 / dz - (dw > least ? made / below / below : 0));
        }
        clusters += is_first && has_second ? 1 : 0;
    }
    const double value = clusters == 0 ? 0 : 1 / (sum / static_cast<double>(clusters) + epsilon);
    const double factor = clusters == 0 ? 0 : -value * value / static_cast<double>(clusters);
    const auto write = [&](MatrixView<T> from, const AnyDestination<T>& to) {
        simd::map(simd::in(MatrixView<const T>(from)), simd::out(to), [factor](auto x, auto& y) {
            using V = decltype(x);
            y = V(factor) * x;
        });
    };
    if (gw)
        write(of_w, gw);
    for (Index l = 0; l < count; ++l)
        if (g_outputs[static_cast<std::size_t>(l)])
            write(of_outputs[l], g_outputs[static_cast<std::size_t>(l)]);
    return value;
}

TEMPER_INSTANTIATE(kernel::ClusterwiseModeSeeking);

} // namespace temper::inline TEMPER_ABI
#endif
