// SPDX-License-Identifier: BSL-1.0
#pragma once

// Segmentation at several scales of the input (ADELE): cross-entropy of each scale, and a consistency that
// pulls them towards their mixture in images where it is sure of something.
//
//   w = softmax(scale_logits)                     N = n h w, ignored pixels included
//   cross-entropy   (1/N) sum_s sum over pixels of CE(w_s z_s, y), 0 for ignored pixels
//   consistency     (1/N) sum_i g_i sum_s sum over pixels of KL(p_s || q)
//                   p_s = softmax(z_s), q = clamp(sum_s w_s p_s, floor, 1 - floor)
//                   g_i = 1 if q >= threshold for some class and not ignored pixel of image i, else 0
//
// scale_logits [s]; logits a list of s tensors [n, k, h, w], resampled to one size; labels(y) [n, h, w] with
// the label 255 to be ignored. Gradients to scale_logits and the logits; through p and, where it was not
// clamped, through q; none through g. ADELE's loss is their sum:
//
//   v = MultiscaleCrossEntropy{}(a, tensors(z1, z2, z3), labels(y), into(ga), into(tensors(g1, g2, g3)))
//     + (1.0 * MultiscaleConsistency{})(a, ..., add_to(ga), add_to(tensors(g1, g2, g3)));
//
// Two things to know, both published: the cross-entropy multiplies the LOGITS by w_s, with three equal scales
// a temperature of 3; the consistency is the plain sum of the divergences from a weighted mixture, not the
// weighted Jensen-Shannon divergence (weighted_jensen_shannon.hpp), and counts ignored pixels. No sure image:
// consistency 0. Equal scales: 0 up to the clamp. n = 0: value 0.
// Throws ShapeError, RangeError for no scale, labels outside [0, k) that are not the ignored one.
// Liu et al., Adaptive Early-Learning Correction for Segmentation from Noisy
// Annotations (2022).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>
#include <temper/loss/pixel_rows.hpp>

namespace temper::inline TEMPER_ABI {

struct MultiscaleCrossEntropy {
    static constexpr std::string_view name = "MultiscaleCrossEntropy";
    std::int64_t ignore_index = 255;

    /// (a, tensors(z1, ...), labels(y) [, into(ga), into(tensors(g1, ...))])
    template <class A, class L, class Y, class... Rest>
    double operator()(const A& scale_logits, const L& logits, const Y& targets,
                      const Rest&... rest) const;

    friend bool operator==(const MultiscaleCrossEntropy&, const MultiscaleCrossEntropy&) = default;
};

struct MultiscaleConsistency {
    static constexpr std::string_view name = "MultiscaleConsistency";
    double threshold = 0.8;
    double floor = 1e-3;
    std::int64_t ignore_index = 255;

    /// (a, tensors(z1, ...), labels(y) [, into(ga), into(tensors(g1, ...))])
    template <class A, class L, class Y, class... Rest>
    double operator()(const A& scale_logits, const L& logits, const Y& targets,
                      const Rest&... rest) const;

    friend bool operator==(const MultiscaleConsistency&, const MultiscaleConsistency&) = default;
};

namespace kernel {
template <class T>
struct Multiscale {
    struct Call {
        const double* w; ///< [scales]
        std::span<const AnyView<const T>> z;
        const std::int64_t* labels; ///< [n, h, w], -1: ignored
        std::span<const AnyDestination<T>> gz;
        double* gw; ///< [scales], or nullptr
    };
    static double cross_entropy(const Call& call);
    static double consistency(const Call& call, double threshold, double floor);
};
} // namespace kernel

namespace detail {

template <class A, class L, class Y, class Run, class... Rest>
double multiscale(std::string_view name, std::int64_t ignore_index, const A& scale_logits,
                  const L& logits, const Y& targets, const Run& run, const Rest&... rest)
{
    static_assert(is_labels<Y>, "temper: targets come after the predictions, as labels(y)");
    accept<2>(rest...);
    using T = std::remove_const_t<ListScalarOf<L>>;
    Border<T> border(name);
    const auto a = border.vector("scale_logits", scale_logits);
    const auto z = border.list("logits", logits);
    const auto scales = static_cast<Index>(z.size());
    border.require(scales >= 1, "the number of scales", 0, "at least 1");
    border.expect_shape("scale_logits", a, {scales}, "one for each scale");
    const std::array<Index, 4> e = z[0].rank == 4 ? std::array{z[0].extents[0], z[0].extents[1],
                                                               z[0].extents[2], z[0].extents[3]}
                                                  : std::array<Index, 4>{};
    for (const auto& scale : z)
        border.expect_shape("logits", scale, {e[0], e[1], e[2], e[3]}, "as the first scale");
    const auto* y =
        pixel_labels(border, "labels", targets, std::array{e[0], e[2], e[3]}, e[1], ignore_index);
    const auto ga = border.gradient("scale_logits", a, positional<0>(rest...));
    const auto gz = border.gradient("logits", z, positional<1>(rest...));

    auto* w = border.scratch().template take<double>(scales);
    double most = static_cast<double>(a(Index{0}));
    for (Index s = 1; s < scales; ++s)
        most = (std::max)(most, static_cast<double>(a(s)));
    double sum = 0;
    for (Index s = 0; s < scales; ++s)
        sum += w[s] = std::exp(static_cast<double>(a(s)) - most);
    for (Index s = 0; s < scales; ++s)
        w[s] /= sum;
    auto* gw = ga ? border.scratch().template take_zeros<double>(scales) : nullptr;
    const double value = run(typename kernel::Multiscale<T>::Call{w, z, y, gz, gw});
    if (ga) {
        double mean = 0;
        for (Index s = 0; s < scales; ++s)
            mean += w[s] * gw[s];
        for (Index s = 0; s < scales; ++s)
            ga.put(ga.view(s), static_cast<T>(w[s] * (gw[s] - mean)));
    }
    return border.finish(value);
}

} // namespace detail

template <class A, class L, class Y, class... Rest>
double MultiscaleCrossEntropy::operator()(const A& scale_logits, const L& logits, const Y& targets,
                                          const Rest&... rest) const
{
    return detail::multiscale(
        name, ignore_index, scale_logits, logits, targets,
        []<class Call>(const Call& call) {
            using T =
                std::remove_const_t<typename std::remove_cvref_t<decltype(call.z[0])>::Scalar>;
            return kernel::Multiscale<T>::cross_entropy(call);
        },
        rest...);
}

template <class A, class L, class Y, class... Rest>
double MultiscaleConsistency::operator()(const A& scale_logits, const L& logits, const Y& targets,
                                         const Rest&... rest) const
{
    require(floor >= 0 && floor < 0.5, name, "floor", floor, "from 0 to below 1/2");
    return detail::multiscale(
        name, ignore_index, scale_logits, logits, targets,
        [this]<class Call>(const Call& call) {
            using T =
                std::remove_const_t<typename std::remove_cvref_t<decltype(call.z[0])>::Scalar>;
            return kernel::Multiscale<T>::consistency(call, threshold, floor);
        },
        rest...);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// The pixels of a list of images, a row of an image at a time: their softmax, scaled logits, and places.
template <class T>
struct MultiscalePixels {
    std::span<const AnyView<const T>> z;
    Index n = z[0].extent(0), k = z[0].extent(1), h = z[0].extent(2), w = z[0].extent(3);
    Index scales = static_cast<Index>(z.size());

    /// p [k] = softmax(factor z_s) of a pixel; returns log sum exp.
    double softmax(Index s, Index i, Index row, Index col, double factor, double* p) const
    {
        const auto& v = z[static_cast<std::size_t>(s)];
        const T* at = v.data + i * v.stride(0) + row * v.stride(2) + col * v.stride(3);
        double most = -std::numeric_limits<double>::infinity();
        for (Index j = 0; j < k; ++j) {
            p[j] = factor * static_cast<double>(at[j * v.stride(1)]);
            most = p[j] > most || std::isnan(p[j]) ? p[j] : most;
        }
        double sum = 0;
        for (Index j = 0; j < k; ++j)
            sum += p[j] = std::exp(p[j] - most);
        for (Index j = 0; j < k; ++j)
            p[j] /= sum;
        return most + std::log(sum);
    }
    [[nodiscard]] double logit(Index s, Index i, Index j, Index row, Index col) const
    {
        const auto& v = z[static_cast<std::size_t>(s)];
        return static_cast<double>(
            v.data[i * v.stride(0) + j * v.stride(1) + row * v.stride(2) + col * v.stride(3)]);
    }
    static void put(const AnyDestination<T>& g, Index i, Index j, Index row, Index col, double x)
    {
        const auto& v = g.view;
        Destination<T, 1>{{}, g.scale, g.mode}.put(
            v.data[i * v.stride(0) + j * v.stride(1) + row * v.stride(2) + col * v.stride(3)],
            static_cast<T>(x));
    }
    /// The sum over rows of images of f(image, row, scratch [doubles], gw [scales]), in that order.
    template <class F>
    double sum(Index doubles, double* gw, const F& f) const
    {
        Workspace::Frame frame;
        const Index rows = n * h;
        auto* memory = frame.take<double>(rows * doubles);
        auto* value = frame.take<double>(rows);
        auto* slopes = frame.take_zeros<double>(rows * scales);
        parallel_for(rows, rows * w * k * scales, [&](Index r) {
            value[r] = f(r / h, r % h, memory + r * doubles, slopes + r * scales);
        });
        double total = 0;
        for (Index r = 0; r < rows; ++r) {
            total += value[r];
            for (Index s = 0; gw != nullptr && s < scales; ++s)
                gw[s] += slopes[r * scales + s];
        }
        return total;
    }
};

} // namespace detail

template <class T>
double kernel::Multiscale<T>::cross_entropy(const Call& call)
{
    const detail::MultiscalePixels<T> pixels{call.z};
    const Index k = pixels.k;
    const auto count = static_cast<double>(pixels.n * pixels.h * pixels.w);
    return pixels.sum(k, call.gw, [&](Index i, Index row, double* p, double* gw) {
        double total = 0;
        for (Index col = 0; col < pixels.w; ++col) {
            const std::int64_t y = call.labels[(i * pixels.h + row) * pixels.w + col];
            for (Index s = 0; s < pixels.scales; ++s) {
                const double w = call.w[s];
                const auto& g = call.gz[static_cast<std::size_t>(s)];
                if (y < 0) {
                    for (Index j = 0; g && j < k; ++j)
                        pixels.put(g, i, j, row, col, 0);
                    continue;
                }
                const double log_sum = pixels.softmax(s, i, row, col, w, p);
                total +=
                    (log_sum - w * pixels.logit(s, i, static_cast<Index>(y), row, col)) / count;
                p[y] -= 1;
                for (Index j = 0; g && j < k; ++j)
                    pixels.put(g, i, j, row, col, w * p[j] / count);
                for (Index j = 0; call.gw != nullptr && j < k; ++j)
                    gw[s] += p[j] * pixels.logit(s, i, j, row, col) / count;
            }
        }
        return total;
    });
}

template <class T>
double kernel::Multiscale<T>::consistency(const Call& call, double threshold, double floor)
{
    const detail::MultiscalePixels<T> pixels{call.z};
    const Index k = pixels.k;
    const Index scales = pixels.scales;
    const auto count = static_cast<double>(pixels.n * pixels.h * pixels.w);
    const auto label = [&](Index i, Index row, Index col) {
        return call.labels[(i * pixels.h + row) * pixels.w + col];
    };
    // All scales' p of a pixel, then q and sum_s p_s.
    const auto mixture = [&](Index i, Index row, Index col, double* p) {
        double* q = p + scales * k;
        double* all = q + k;
        for (Index s = 0; s < scales; ++s)
            (void)pixels.softmax(s, i, row, col, 1, p + s * k);
        for (Index j = 0; j < k; ++j) {
            q[j] = all[j] = 0;
            for (Index s = 0; s < scales; ++s) {
                q[j] += call.w[s] * p[s * k + j];
                all[j] += p[s * k + j];
            }
        }
    };
    const auto clamped = [=](double q) {
        return q < floor ? floor : q > 1 - floor ? 1 - floor : q;
    };
    const Index doubles = (scales + 2) * k;
    Workspace::Frame frame;
    auto* sure = frame.take<double>(pixels.n * pixels.h); // the largest q of each row
    (void)pixels.sum(doubles, nullptr, [&](Index i, Index row, double* p, double*) {
        double most = 0;
        for (Index col = 0; col < pixels.w; ++col) {
            if (label(i, row, col) < 0)
                continue;
            mixture(i, row, col, p);
            for (Index j = 0; j < k; ++j) {
                const double q = clamped(p[scales * k + j]);
                most = q > most || std::isnan(q) ? q : most;
            }
        }
        return sure[i * pixels.h + row] = most;
    });
    auto* gate = frame.take<double>(pixels.n); // NaN where a prediction is
    for (Index i = 0; i < pixels.n; ++i) {
        double most = 0;
        for (Index row = 0; row < pixels.h; ++row) {
            const double q = sure[i * pixels.h + row];
            most = q > most || std::isnan(q) ? q : most;
        }
        gate[i] = most >= threshold ? 1 : 0 * most;
    }
    return pixels.sum(doubles, call.gw, [&](Index i, Index row, double* p, double* gw) {
        double total = 0;
        const double factor = gate[i] / count;
        for (Index col = 0; col < pixels.w; ++col) {
            if (factor != 0)
                mixture(i, row, col, p);
            const double* q = p + scales * k;
            const double* all = q + k;
            for (Index s = 0; s < scales; ++s) {
                const auto& g = call.gz[static_cast<std::size_t>(s)];
                const double* own = p + s * k;
                if (factor == 0) {
                    for (Index j = 0; g && j < k; ++j)
                        pixels.put(g, i, j, row, col, 0);
                    continue;
                }
                // log(p / q) + 1 - w [not clamped] sum p / q, whose 1 the softmax takes away
                const auto slope = [&](Index j) {
                    const double c = clamped(q[j]);
                    const double ratio = own[j] == 0 ? 0 : std::log(own[j] / c);
                    return ratio - (c == q[j] ? call.w[s] * all[j] / c : 0);
                };
                double mean = 0;
                for (Index j = 0; j < k; ++j) {
                    const double c = clamped(q[j]);
                    total += own[j] == 0 ? 0 : factor * own[j] * std::log(own[j] / c);
                    mean += own[j] * slope(j);
                    if (call.gw != nullptr && c == q[j])
                        gw[s] -= factor * own[j] * all[j] / c;
                }
                for (Index j = 0; g && j < k; ++j)
                    pixels.put(g, i, j, row, col, factor * own[j] * (slope(j) - mean));
            }
        }
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::Multiscale);

} // namespace temper::inline TEMPER_ABI
#endif
