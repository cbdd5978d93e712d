// SPDX-License-Identifier: BSL-1.0
#pragma once

// Robust mean teacher (RMT): a network goes on learning from the unlabelled batches it is tested on, led by
// an average of itself, with features held near those of the source.
//
//   L = target mean_i [ SCE(z_i, t_i) / 2 + SCE(z'_i, t_i) / 2 ]
//     + contrastive MultiviewContrastive([p_i, f_i, f'_i])
//     (+ the caller's cross-entropy of labelled source batches, if there are any)
//
// z logits of the batch and z' of its augmentation by the student, t of the batch by the teacher, all
// [n, k]; f, f' the student's features of both and p the nearest source prototype of each, all [n, d'] and
// through the projector of the caller's. SCE is Consistency<SymmetricCrossEntropy>. A step of the loop:
//
//   rmt.pair(prototypes, features, into(nearest))        the prototype of each feature, before projecting
//   rmt({.logits = z, .augmented = z2, .teacher = t, .prototypes = p, .features = f, .augmented_features = f2},
//       {.logits = into(gz), ...})                       value and gradients; trailing ones left out
//   rmt.predict(z, t, into(logits))                      z + t: with the weights BEFORE this update
//   ... the optimiser's step ..., then rmt.ema().observe(teacher, student, t)
//
// With contrastive = 0 the features may be left out. Prototypes are NearestPrototype{}.build of source
// features. n = 0: value 0. Throws ShapeError; RangeError as the parts do.
// Doebler et al., Robust Mean Teacher for Continual and Gradual Test-Time Adaptation (2023).

#include <temper/gradient/ema.hpp>
#include <temper/loss/consistency.hpp>
#include <temper/representation/multiview_contrastive.hpp>
#include <temper/representation/nearest_prototype.hpp>

namespace temper::inline TEMPER_ABI {

struct RobustMeanTeacher {
    static constexpr std::string_view name = "RobustMeanTeacher";
    double target = 1;
    double contrastive = 1;
    double alpha = 0.5;       ///< of the symmetric cross-entropy
    double temperature = 0.1; ///< of the contrastive term
    double decay = 0.999;     ///< of the teacher

    /// What a batch is; empty views where there is nothing.
    template <class T>
    struct Inputs {
        MatrixView<const T> logits{}, augmented{}, teacher{};
        MatrixView<const T> prototypes{}, features{}, augmented_features{};
    };
    template <class T>
    struct Gradients {
        Into<T> logits{.mode = Mode::discard}, augmented{.mode = Mode::discard};
        Into<T> prototypes{.mode = Mode::discard}, features{.mode = Mode::discard};
        Into<T> augmented_features{.mode = Mode::discard};
    };

    template <class T>
    double operator()(const Inputs<T>& in, const Gradients<T>& out = {}) const;

    /// nearest [n, d]: the row of prototypes [k, d] that each row of features [n, d] is most alike.
    template <class M, class F, class D>
    void pair(const M& prototypes, const F& features, const D& nearest) const;
    /// The logits to predict with: the student's and the teacher's, added.
    template <class Z, class Y, class D>
    void predict(const Z& z, const Y& teacher, const D& out) const;
    /// The teacher's average of the student's weights.
    [[nodiscard]] Ema ema() const { return {.decay = decay}; }

    friend bool operator==(const RobustMeanTeacher&, const RobustMeanTeacher&) = default;
};

namespace kernel {
template <class T>
struct RobustMeanTeacher {
    static double contrast(const temper::MultiviewContrastive& loss,
                           const std::array<MatrixView<const T>, 3>& views,
                           const std::array<Destination<T, 2>, 3>& out);
    static void take(MatrixView<const T> from, const std::int64_t* rows,
                     const Destination<T, 2>& out);
    static void add(MatrixView<const T> a, MatrixView<const T> b, const Destination<T, 2>& out);
};
} // namespace kernel

template <class T>
double RobustMeanTeacher::operator()(const Inputs<T>& in, const Gradients<T>& out) const
{
    Border<T> border(name);
    const auto z = border.samples("logits", in.logits);
    const auto augmented = border.samples("augmented", in.augmented);
    const auto teacher = border.samples("teacher", in.teacher);
    border.same_shape("augmented", augmented, "logits", z);
    border.same_shape("teacher", teacher, "logits", z);
    border.require(temperature > 0, "temperature", temperature, "positive");
    std::array<MatrixView<const T>, 3> views{};
    if (contrastive != 0) {
        views = {border.samples("prototypes", in.prototypes),
                 border.samples("features", in.features),
                 border.samples("augmented_features", in.augmented_features)};
        border.expect_shape("features", views[1], {z.rows(), views[1].cols()},
                            "with the rows of logits");
        border.same_shape("prototypes", views[0], "features", views[1]);
        border.same_shape("augmented_features", views[2], "features", views[1]);
    }
    const auto gradient = [&](std::string_view input, MatrixView<const T> like, const Into<T>& to) {
        return to.mode == Mode::discard ? Destination<T, 2>{} : border.gradient(input, like, to);
    };
    const auto gz = gradient("logits", z, out.logits);
    const auto ga = gradient("augmented", augmented, out.augmented);

    const auto scaled = [](Destination<T, 2> d, double factor) {
        d.scale *= factor;
        return d;
    };
    using Symmetric = Consistency<SymmetricCrossEntropy>;
    const Symmetric loss{.divergence = {.alpha = alpha}};
    const auto scale = row_scale<T>(Reduction::mean, z.rows(), VectorView<const T>{});
    const auto consistency = [&](MatrixView<const T> x, const Destination<T, 2>& g) {
        typename kernel::Consistency<T, SymmetricCrossEntropy>::Outputs to{};
        to.gz = scaled(g, target / 2);
        return target / 2 *
               kernel::Consistency<T, SymmetricCrossEntropy>::run(loss, x, teacher, {}, scale, to);
    };
    std::array<Destination<T, 2>, 3> gf{};
    if (contrastive != 0) {
        gf = {
            scaled(gradient("prototypes", views[0], out.prototypes), contrastive),
            scaled(gradient("features", views[1], out.features), contrastive),
            scaled(gradient("augmented_features", views[2], out.augmented_features), contrastive)};
    }
    double value = consistency(z, gz) + consistency(augmented, ga);
    if (contrastive != 0)
        value += contrastive *
                 kernel::RobustMeanTeacher<T>::contrast(
                     {.temperature = temperature, .base_temperature = temperature}, views, gf);
    return border.finish(value);
}

template <class M, class F, class D>
void RobustMeanTeacher::pair(const M& prototypes, const F& features, const D& nearest) const
{
    using T = KernelScalarOf<M, F>;
    Border<T> border(name);
    const auto m = border.samples("prototypes", prototypes);
    const auto f = border.samples("features", features);
    border.expect_shape("features", f, {f.rows(), m.cols()}, "with the columns of prototypes");
    const auto to = border.template output<2>("nearest", nearest, {f.rows(), f.cols()});
    auto* index = border.scratch().template take<std::int64_t>(f.rows());
    NearestPrototype{}.forward(m, f, into(view(index, {f.rows()})));
    kernel::RobustMeanTeacher<T>::take(m, index, to);
    border.finish();
}

template <class Z, class Y, class D>
void RobustMeanTeacher::predict(const Z& z, const Y& teacher, const D& out) const
{
    using T = KernelScalarOf<Z, Y>;
    Border<T> border(name);
    const auto a = border.samples("logits", z);
    const auto b = border.samples("teacher", teacher);
    border.same_shape("teacher", b, "logits", a);
    const auto to =
        border.template output<2>("prediction", out, {a.rows(), a.cols()}, InPlace::allowed);
    kernel::RobustMeanTeacher<T>::add(a, b, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::RobustMeanTeacher<T>::contrast(const temper::MultiviewContrastive& loss,
                                              const std::array<MatrixView<const T>, 3>& views,
                                              const std::array<Destination<T, 2>, 3>& out)
{
    const Index n = views[0].rows();
    const Index d = views[0].cols();
    Workspace::Frame frame;
    const MatrixView<T> z = frame.matrix<T>(3 * n, d);
    auto* of = frame.take<std::int64_t>(3 * n);
    bool wants = false;
    for (std::size_t v = 0; v < 3; ++v) {
        const Index first = static_cast<Index>(v) * n;
        const Destination<T, 2> to{z.block(first, 0, n, d), 1, Mode::overwrite};
        simd::map(simd::in(views[v]), simd::out(to), [](auto x, auto& y) { y = x; });
        for (Index i = 0; i < n; ++i)
            of[first + i] = i;
        wants = wants || out[v];
    }
    const double value = kernel::MultiviewContrastive<T>::run(loss, z, of, wants);
    for (std::size_t v = 0; v < 3; ++v)
        if (out[v]) {
            const MatrixView<const T> g = z.block(static_cast<Index>(v) * n, 0, n, d);
            simd::map(simd::in(g), simd::out(out[v]), [](auto x, auto& y) { y = x; });
        }
    return value;
}

template <class T>
void kernel::RobustMeanTeacher<T>::take(MatrixView<const T> from, const std::int64_t* rows,
                                        const Destination<T, 2>& out)
{
    for (Index i = 0; out && i < out.view.rows(); ++i)
        for (Index j = 0; j < out.view.cols(); ++j)
            out.put(out.view(i, j), from(static_cast<Index>(rows[i]), j));
}

template <class T>
void kernel::RobustMeanTeacher<T>::add(MatrixView<const T> a, MatrixView<const T> b,
                                       const Destination<T, 2>& out)
{
    simd::map(simd::in(a, b), simd::out(out), [](auto x, auto y, auto& z) { z = x + y; });
}

TEMPER_INSTANTIATE(kernel::RobustMeanTeacher);

} // namespace temper::inline TEMPER_ABI
#endif
