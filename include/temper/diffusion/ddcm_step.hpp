// SPDX-License-Identifier: BSL-1.0
#pragma once

// A step of editing an image without inverting it: source and target are denoised together, the source along
// the noise that leads back to it exactly.
//
//   e_c = (x_s - sqrt(a) x0) / sqrt(1 - a)                                what leads to x0
//   p = x0 + ((x_t - x_s) - sqrt(1 - a) (e_t - e_s)) / sqrt(a)            the edited data: `data`
//   e = (e_t - e_s) + e_c        var = eta (1 - a')
//   x_t' = sqrt(a') p  + sqrt(1 - a' - var) e + sqrt(var) z
//   x_s' = sqrt(a') x0 + sqrt(1 - a' - var) e + sqrt(var) z
//   with last: x_t' = p, x_s' = x0
//
// x_s, x_t the two noisy images, e_s, e_t the noise that the network predicts in them under the two prompts,
// x0 the source image, z noise, all [n, d]; a and a' the cumulative products before and after. eta = 1, the
// default, is a consistency sampler: e does not count. The same z for both; the source moves with the e of the
// difference, too, as in the published code. Equal images and predictions: p = x0 up to rounding. Throws
// ShapeError; RangeError unless a in (0, 1), a' in [0, 1], eta in [0, 1].
// Xu et al., Inversion-Free Image Editing with Natural Language (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct DdcmStep {
    static constexpr std::string_view name = "DdcmStep";
    double eta = 1;

    template <class T>
    struct Inputs {
        MatrixView<const T> source, target, source_noise, target_noise, data, noise;
    };
    template <class T>
    struct Outputs {
        Into<T> source{.mode = Mode::discard}, target{.mode = Mode::discard};
        Into<T> data{.mode = Mode::discard};
    };
    /// `last`: the step that leaves no noise.
    template <class T>
    void operator()(const Inputs<T>& in, double a, double next, bool last,
                    const Outputs<T>& out) const;

    friend bool operator==(const DdcmStep&, const DdcmStep&) = default;
};

namespace kernel {
template <class T>
struct DdcmStep {
    /// out = sum_k factor_k in_k
    static void run(const std::array<MatrixView<const T>, 6>& in,
                    const std::array<double, 6>& factor, const Destination<T, 2>& out);
};
} // namespace kernel

template <class T>
void DdcmStep::operator()(const Inputs<T>& in, double a, double next, bool last,
                          const Outputs<T>& out) const
{
    Border<T> border(name);
    border.require(a > 0 && a < 1, "a", a, "in (0, 1)");
    border.require(next >= 0 && next <= 1, "next", next, "in [0, 1]");
    border.require(eta >= 0 && eta <= 1, "eta", eta, "in [0, 1]");
    const std::array all{border.samples("source", in.source),
                         border.samples("target", in.target),
                         border.samples("source_noise", in.source_noise),
                         border.samples("target_noise", in.target_noise),
                         border.samples("data", in.data),
                         border.samples("noise", in.noise)};
    constexpr std::array<std::string_view, 6> names{"source",       "target", "source_noise",
                                                    "target_noise", "data",   "noise"};
    for (std::size_t k = 1; k < all.size(); ++k)
        border.same_shape(names[k], all[k], names[0], all[0]);
    const auto destination = [&](std::string_view what, const Into<T>& to) {
        return to.mode == Mode::discard ? Destination<T, 2>{} : border.gradient(what, all[0], to);
    };
    const auto source = destination("source", out.source);
    const auto target = destination("target", out.target);
    const auto data = destination("data", out.data);

    const double var = last ? 0 : eta * (1 - next);
    const double direction = last ? 0 : std::sqrt((std::max)(0.0, 1 - next - var));
    const double keep = last ? 1 : std::sqrt(next);
    const double noise = std::sqrt(var);
    const double out_of_a = 1 / std::sqrt(a);
    const double slope = std::sqrt(1 / a - 1);
    const double toward = direction / std::sqrt(1 - a);
    // Of x_s, x_t, e_s, e_t, x0 and z, in p and in what both branches share.
    const std::array<double, 6> p{-out_of_a, out_of_a, slope, -slope, 1, 0};
    const std::array<double, 6> shared{toward, 0, -direction, direction, -toward * std::sqrt(a),
                                       noise};
    std::array<double, 6> to_target{};
    std::array<double, 6> to_source = shared;
    for (std::size_t k = 0; k < p.size(); ++k)
        to_target[k] = keep * p[k] + shared[k];
    to_source[4] += keep;
    kernel::DdcmStep<T>::run(all, to_source, source);
    kernel::DdcmStep<T>::run(all, to_target, target);
    kernel::DdcmStep<T>::run(all, p, data);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::DdcmStep<T>::run(const std::array<MatrixView<const T>, 6>& in,
                              const std::array<double, 6>& factor, const Destination<T, 2>& out)
{
    if (!out)
        return;
    simd::map(simd::in(in[0], in[1], in[2], in[3], in[4], in[5]), simd::out(out),
              [=](auto u0, auto u1, auto u2, auto u3, auto u4, auto u5, auto& y) {
                  using V = decltype(u0);
                  // Differences of like things first: they cancel where the branches agree.
                  const V branches = fma(V(factor[0]), u0, V(factor[1]) * u1);
                  const V predictions = fma(V(factor[2]), u2, V(factor[3]) * u3);
                  y = fma(V(factor[4]), u4, fma(V(factor[5]), u5, branches + predictions));
              });
}

TEMPER_INSTANTIATE(kernel::DdcmStep);

} // namespace temper::inline TEMPER_ABI
#endif
