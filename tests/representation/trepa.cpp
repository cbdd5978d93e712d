// SPDX-License-Identifier: BSL-1.0
#include <temper/representation/trepa.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <string>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace temper;

namespace {

/// Features of a clip: its mean brightness and how much it flickers. Remembers what was asked of it.
struct Encoder {
    std::string calls{};
    bool inside_parallel = false;

    void note(char what)
    {
        calls += what;
#ifdef _OPENMP
        inside_parallel = inside_parallel || omp_in_parallel() != 0;
#endif
    }
    [[nodiscard]] static Index features() { return 2; }
    void forward(const AnyView<const double>& x, const Into<double>& to)
    {
        note('f');
        const auto frames = x.as<3>();
        const auto y = to.view.as<2>();
        for (Index i = 0; i < frames.extents[0]; ++i) {
            y(i, Index{0}) = y(i, Index{1}) = 0;
            for (Index t = 0; t < frames.extents[1]; ++t)
                for (Index p = 0; p < frames.extents[2]; ++p) {
                    y(i, Index{0}) += frames(i, t, p);
                    y(i, Index{1}) += (t % 2 == 0 ? 1 : -1) * frames(i, t, p);
                }
        }
    }
    void pullback(const AnyView<const double>& x, const MatrixView<const double>& gy,
                  const Into<double>& to)
    {
        note(to.mode == Mode::overwrite && to.scale == 1 ? 'p' : '?');
        const auto g = to.view.as<3>();
        for (Index i = 0; i < x.extents[0]; ++i)
            for (Index t = 0; t < x.extents[1]; ++t)
                for (Index p = 0; p < x.extents[2]; ++p)
                    g(i, t, p) = gy(i, Index{0}) + (t % 2 == 0 ? 1 : -1) * gy(i, Index{1});
    }
};

} // namespace

TEST_CASE("TREPA sends its gradient through a user's encoder, whatever the destination's mode")
{
    constexpr Index n = 50, frames = 4, pixels = 3, size = n * frames * pixels;
    std::vector<double> x(size), t(size), g(size), added(size, 0.5);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = 1 + std::sin(static_cast<double>(i * i));
        t[i] = 1 + 0.1 * std::cos(static_cast<double>(i));
    }
    const auto clip = [](auto& numbers) { return view(numbers.data(), {n, frames, pixels}); };
    const Trepa trepa{.mean_over = MeanOver::samples};
    Encoder encoder;
    const double value = trepa.through(encoder)(clip(x), clip(t), into(clip(g)));
    CHECK(encoder.calls == "ffp"); // the pullback belongs to the forward right before it
    CHECK(!encoder.inside_parallel);
    CHECK((10 * trepa.through(encoder))(clip(x), clip(t), add_to(clip(added), -2)) ==
          Approx(10 * value));
    CHECK(encoder.calls == "ffpffp");
    for (std::size_t i = 0; i < g.size(); ++i)
        CHECK(added[i] == Approx(0.5 - 20 * g[i]));
    CHECK(trepa.through(encoder)(clip(x), clip(t)) == value);
    CHECK(encoder.calls == "ffpffpff");

    for (const std::size_t i : {std::size_t{0}, std::size_t{17}, std::size_t{599}}) {
        const double before = x[i];
        x[i] = before + 1e-6;
        const double up = trepa.through(encoder)(clip(x), clip(t));
        x[i] = before - 1e-6;
        const double down = trepa.through(encoder)(clip(x), clip(t));
        x[i] = before;
        CHECK(g[i] == Approx((up - down) / 2e-6).epsilon(1e-5).margin(1e-8));
    }
}

TEST_CASE("the authors' mean is also over features")
{
    const double x[2][3] = {{1, 0, 0}, {0, 2, 0}};
    const double t[2][3] = {{0, 3, 0}, {0, 1, 0}};
    CHECK(Trepa{}(x, t) == Approx(2.0 / 6));
    CHECK(Trepa{.mean_over = MeanOver::samples}(x, t) == Approx(2.0 / 2));
    CHECK(Trepa{.mean_over = MeanOver::nothing}(x, t) == Approx(2));
}

TEST_CASE("TREPA through an encoder says what is wrong")
{
    std::vector<double> x(24);
    Encoder encoder;
    CHECK_THROWS_WITH(
        Trepa{}.through(encoder)(view(x.data(), {2, 3, 4}), view(x.data(), {2, 4, 3})),
        "Trepa: target_frames has shape [2, 4, 3], must be [2, 3, 4] as frames");
    CHECK(encoder.calls.empty());
}
