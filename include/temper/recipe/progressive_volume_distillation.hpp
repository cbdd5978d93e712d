// SPDX-License-Identifier: BSL-1.0
#pragma once

// Progressive volume distillation: a radiance field of one architecture learns from one of another, from the
// middle outwards: first what both call features, then density and colour at points, then rendered pixels.
//
//   D is FeatureDistance{kind, beta}, c(x) the density before its activation, clamped to [low, high]
//   L = feature decay^(step + 1) D(c(s), c(s'); f, f')      over density and features taken together
//     + color D(k, k') + density D(c(s), c(s'))             from step first_end on
//     + rgb D(r, r')                                        from step second_end on
//
//   pvd.at(step)({.log_density = s, .feature = f, .color = k, .rgb = r}, teacher's, {.log_density = into(gs), ...})
//
// log_density [n], feature [n, d], color [n, 3] at the points of a batch, rgb [m, 3] of its rays; the second
// pack is the teacher's and is held fixed. What a stage does not look at may be left out, and what is there
// gets gradient 0. Outside of [low, high] a density gets no gradient: matching it before the activation is
// what makes densities of different architectures comparable. The default distance is a length, so the loss
// grows with the root of the batch. terms: the four summands, [4], features, colour, density, pixels.
// The hard examples of the second paper are HardExamplePool's. Throws ShapeError; RangeError for beta <= 0,
// low > high and a negative step.
// Fang et al., One is All: Bridging the Gap Between Neural Radiance Fields Architectures with Progressive
// Volume Distillation (2023).

#include <temper/core/terms.hpp>
#include <temper/representation/feature_distance.hpp>

namespace temper::inline TEMPER_ABI {

struct ProgressiveVolumeDistillation {
    static constexpr std::string_view name = "ProgressiveVolumeDistillation";
    Index first_end = 2000;
    Index second_end = 5000;
    double feature = 0.002;
    double decay = 0.995;
    double color = 0.002;
    double density = 0.002;
    double rgb = 1;
    double low = -2;
    double high = 7;
    FeatureDistance::Kind kind = FeatureDistance::Kind::norm_l2;
    double beta = 0.05;
    Index step = 0;

    template <class T>
    struct Fields {
        VectorView<const T> log_density{};
        MatrixView<const T> feature{}, color{}, rgb{};
    };
    template <class T>
    struct Gradients {
        Into<T> log_density{.mode = Mode::discard}, feature{.mode = Mode::discard};
        Into<T> color{.mode = Mode::discard}, rgb{.mode = Mode::discard};
    };

    /// The objective at a step, counted from 0.
    [[nodiscard]] ProgressiveVolumeDistillation at(Index now) const
    {
        require(now >= 0, name, "step", static_cast<double>(now), "non-negative");
        ProgressiveVolumeDistillation objective = *this;
        objective.step = now;
        return objective;
    }
    /// 1, 2 or 3.
    [[nodiscard]] int stage() const { return step < first_end ? 1 : step < second_end ? 2 : 3; }

    template <class T, class... Rest>
    double operator()(const Fields<T>& student, const Fields<T>& teacher,
                      const Gradients<T>& out = {}, const Rest&... rest) const
    {
        accept<0, Terms>(rest...);
        using Kernel = kernel::FeatureDistance<T>;
        using Pair = typename Kernel::Pair;
        Border<T> border(name);
        border.require(beta > 0, "beta", beta, "positive");
        border.require(low <= high, "low", low, "at most high");
        const auto pair = [&](std::string_view what, std::string_view taught, const auto& s,
                              const auto& t, const Into<T>& g) {
            const auto x = border.tensor(what, s);
            const auto like = border.tensor(taught, t);
            border.same_shape(taught, like, what, x); // what is left out is of no size
            return Pair{x, like,
                        g.mode == Mode::discard ? AnyDestination<T>{}
                                                : border.gradient(what, x, g)};
        };
        Pair point = pair("log_density", "teacher.log_density", student.log_density,
                          teacher.log_density, out.log_density);
        const Pair features =
            pair("feature", "teacher.feature", student.feature, teacher.feature, out.feature);
        const Pair colors = pair("color", "teacher.color", student.color, teacher.color, out.color);
        const Pair pixels = pair("rgb", "teacher.rgb", student.rgb, teacher.rgb, out.rgb);
        const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {4});
        point.low = low;
        point.high = high;

        const FeatureDistance distance{kind, beta};
        std::array<double, 4> term{};
        const std::array both{point, features};
        term[0] =
            Kernel::run(distance, feature * std::pow(decay, static_cast<double>(step + 1)), both);
        if (stage() >= 2) {
            if (point.gx)
                point.gx.mode = Mode::add;
            term[1] = Kernel::run(distance, color, {&colors, 1});
            term[2] = Kernel::run(distance, density, {&point, 1});
        }
        else
            Kernel::nothing(colors.x, colors.gx);
        if (stage() == 3)
            term[3] = Kernel::run(distance, rgb, {&pixels, 1});
        else
            Kernel::nothing(pixels.x, pixels.gx);
        detail::put_terms(each, term);
        return border.finish(term[0] + term[1] + term[2] + term[3]);
    }

    friend bool operator==(const ProgressiveVolumeDistillation&,
                           const ProgressiveVolumeDistillation&) = default;
};

using Pvd = ProgressiveVolumeDistillation;

} // namespace temper::inline TEMPER_ABI
