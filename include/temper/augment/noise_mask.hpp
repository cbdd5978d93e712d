// SPDX-License-Identifier: BSL-1.0
#pragma once

// Multiplicative noise: a coarse mask, made large and smooth, times the image.
//
//   u = nearest(m)                          m [n, grid, grid] (or [n, grid grid]) to [h, w]
//   s = Gaussian blur of u, `kernel` pixels wide with deviation `sigma`, reflected at the borders
//   y_ihwc... = x_i.. s_i                   the same mask for all channels
//   pullback: gx = gy s                     the mask has no gradient: it is a sample
//
// x, y [n, c, h, w] or [n, h, w]. Reflection does not repeat the border pixel (torchvision's `reflect`), so
// that an image has to be larger than half the kernel. A mask of ones changes nothing. kernel 1: no blur.
// Throws ShapeError; RangeError for an even kernel, sigma <= 0, images not larger than half the kernel.
// Yavuz and Yang, Policy Gradient-Driven Noise Mask (2024): a grid of 64, kernel 13, sigma 6.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct NoiseMask {
    static constexpr std::string_view name = "NoiseMask";
    Index kernel = 13;
    double sigma = 6;

    /// (m, x, into(y))
    template <class M, class X, class D>
    void forward(const M& mask, const X& images, const D& out) const;
    /// (m, gy, into(gx)): the same map
    template <class M, class G, class D>
    void pullback(const M& mask, const G& gy, const D& gx) const
    {
        forward(mask, gy, gx);
    }
    friend bool operator==(const NoiseMask&, const NoiseMask&) = default;
};

namespace kernel {
template <class T>
struct NoiseMask {
    static void run(Index kernel, double sigma, MatrixView<const T> mask, const AnyView<const T>& x,
                    const AnyDestination<T>& y);
};
} // namespace kernel

template <class M, class X, class D>
void NoiseMask::forward(const M& mask, const X& images, const D& out) const
{
    using T = KernelScalarOf<M, X>;
    Border<T> border(name);
    border.require(kernel >= 1 && kernel % 2 == 1, "kernel", static_cast<double>(kernel),
                   "odd and positive");
    border.require(sigma > 0, "sigma", sigma, "positive");
    const auto m = border.tensor("mask", mask);
    const auto x = border.tensor("images", images);
    if (x.rank != 3 && x.rank != 4)
        fail<ShapeError>(name, "images", joined({"has shape ", shape_text(x)}),
                         "[n, c, h, w] or [n, h, w]");
    const Index n = x.extent(0);
    const Index cells = m.rank == 3 ? m.extent(1) * m.extent(2) : m.rank == 2 ? m.extent(1) : 0;
    const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(cells))));
    if (cells == 0 || side * side != cells || m.extent(0) != n ||
        (m.rank == 3 && m.extent(1) != side))
        fail<ShapeError>(name, "mask", joined({"has shape ", shape_text(m)}),
                         joined({"[", text(n), ", grid, grid]"}));
    const Index half = kernel / 2;
    border.require(x.extent(x.rank - 1) > half && x.extent(x.rank - 2) > half, "images",
                   static_cast<double>((std::min)(x.extent(x.rank - 1), x.extent(x.rank - 2))),
                   "larger than half the kernel");
    const auto y = border.gradient("images", x, out, InPlace::allowed);
    // The masks with their cells in a row.
    const auto flat = border.scratch().template matrix<T>(n, cells);
    for (Index i = 0; i < n; ++i)
        for (Index c = 0; c < cells; ++c)
            flat(i, c) =
                m.rank == 2
                    ? m.data[i * m.stride(0) + c * m.stride(1)]
                    : m.data[i * m.stride(0) + c / side * m.stride(1) + c % side * m.stride(2)];
    temper::kernel::NoiseMask<T>::run(kernel, sigma, flat, x, y);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::NoiseMask<T>::run(Index kernel, double sigma, MatrixView<const T> mask,
                               const AnyView<const T>& x, const AnyDestination<T>& y)
{
    if (!y)
        return;
    const Index h = x.extent(x.rank - 2);
    const Index w = x.extent(x.rank - 1);
    const Index channels = x.rank == 4 ? x.extent(1) : 1;
    const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(mask.cols()))));
    const Index half = kernel / 2;
    Workspace::Frame frame;
    auto* bell = frame.take<double>(kernel);
    double sum = 0;
    for (Index i = 0; i < kernel; ++i) {
        const double u = static_cast<double>(i - half) / sigma;
        sum += bell[i] = std::exp(-u * u / 2);
    }
    for (Index i = 0; i < kernel; ++i)
        bell[i] /= sum;
    const auto reflected = [](Index i, Index size) {
        return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
    };
    auto* across = frame.take<double>(h * w);
    for (Index i = 0; i < x.extent(0); ++i) {
        // The Gaussian is a product: blurred along rows of the coarse picture, then along columns.
        for (Index r = 0; r < h; ++r)
            for (Index c = 0; c < w; ++c) {
                double total = 0;
                for (Index t = 0; t < kernel; ++t) {
                    const Index from = reflected(c + t - half, w);
                    total += bell[t] *
                             static_cast<double>(mask(i, r * side / h * side + from * side / w));
                }
                across[r * w + c] = total;
            }
        for (Index r = 0; r < h; ++r)
            for (Index c = 0; c < w; ++c) {
                double smooth = 0;
                for (Index t = 0; t < kernel; ++t)
                    smooth += bell[t] * across[reflected(r + t - half, h) * w + c];
                for (Index channel = 0; channel < channels; ++channel) {
                    const auto place_in = [&](const auto& v) {
                        return i * v.stride(0) + (x.rank == 4 ? channel * v.stride(1) : 0) +
                               r * v.stride(v.rank - 2) + c * v.stride(v.rank - 1);
                    };
                    Destination<T, 1>{{}, y.scale, y.mode}.put(
                        y.view.data[place_in(y.view)],
                        static_cast<T>(static_cast<double>(x.data[place_in(x)]) * smooth));
                }
            }
    }
}

TEMPER_INSTANTIATE(kernel::NoiseMask);

} // namespace temper::inline TEMPER_ABI
#endif
