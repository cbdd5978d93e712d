// SPDX-License-Identifier: BSL-1.0

// temper/testing.hpp as a user meets it: a loss and a map that are right, and wrong ones.

#include <temper/augment/mixup.hpp>
#include <temper/loss/robust_loss.kernel.hpp>
#include <temper/testing.hpp>

#include <Eigen/Core>

#include "support/catch.hpp"

#include <cmath>

using namespace temper;
using namespace temper::testing;

namespace {

/// sum (x - y)^4, written on temper's views.
struct Quartic {
    double slope = 4; ///< right: 4
    bool adds = true; ///< right: add_to adds
    bool heeds_strides = true;
    bool heeds_discard = true;
    bool remembers = false;

    template <class X, class Y, class... D>
    double operator()(const X& x, const Y& y, const D&... d) const
    {
        static double calls = 0;
        const auto vx = view(x);
        const auto vy = view(y);
        const AnyView<const double> ax(vx);
        double sum = remembers ? 1e-9 * ++calls : 0;
        for (Index i = 0; i < ax.size(); ++i) {
            const double e =
                entry(ax, i) - (heeds_strides ? entry(AnyView<const double>(vy), i) : vy.data[i]);
            sum += e * e * e * e;
            [[maybe_unused]] double sign = 1;
            (write(d, i, std::exchange(sign, -1) * slope * e * e * e), ...);
        }
        return sum;
    }

  private:
    template <class D>
    void write(const D& d, Index i, double number) const
    {
        if (d.mode == Mode::discard && heeds_discard)
            return;
        double& to = entry(d.view, i);
        to = d.scale * number + (d.mode == Mode::add && adds ? to : 0);
    }
};

struct Sine {
    double factor = 1; ///< right: 1

    template <class X, class D>
    void forward(const X& x, const D& y) const
    {
        for (Index i = 0; i < y.view.size(); ++i)
            entry(y.view, i) = std::sin(view(x).data[i]);
    }
    template <class X, class G, class D>
    void pullback(const X& x, const G& g, const D& gx) const
    {
        for (Index i = 0; i < gx.view.size(); ++i)
            entry(gx.view, i) = factor * std::cos(view(x).data[i]) * view(g).data[i];
    }
};

const Eigen::MatrixXd x = (Eigen::MatrixXd(2, 3) << 1, 2, 3, -4, 5, 6).finished();
const Eigen::MatrixXd y = (Eigen::MatrixXd(2, 3) << 0.5, 1, 4, 4, -3, 0).finished();

} // namespace

TEST_CASE("a user's loss that is right passes all checks")
{
    CHECK(check_gradient(Quartic{}, x, y).message == "");
    CHECK(check_modes(Quartic{}, x, y).message == "");
    CHECK(check_layouts(Quartic{}, x, y).message == "");
    CHECK(check_repeat(Quartic{}, x, y).message == "");
    CHECK(check_gradient(Quartic{}, std::vector{1.0, 2.0}, std::vector{0.0, 4.0}).ok());
}

TEST_CASE("a user's loss that is wrong is found")
{
    CHECK(check_gradient(Quartic{.slope = 2}, x, y)
              .message.starts_with(
                  "the gradient of argument 1 at [0, 0] is 0.25, differences say 0."));
    CHECK(!check_modes(Quartic{.adds = false}, x, y));
    CHECK(!check_modes(Quartic{.heeds_discard = false}, x, y));
    CHECK(!check_layouts(Quartic{.heeds_strides = false}, x, y));
    CHECK(!check_repeat(Quartic{.remembers = true}, x, y));
}

TEST_CASE("labels and the like are captured")
{
    const auto loss = [](const auto& z, const auto&... rest) { return Quartic{}(z, y, rest...); };
    CHECK(check_gradient(loss, x).ok());
    CHECK(check_modes(loss, x).ok());
}

TEST_CASE("a user's map and its pullback")
{
    const std::vector<double> at{0.3, -1, 2};
    const std::vector<double> cotangent{1, 0.5, -2};
    CHECK(check_pullback(Sine{}, at, cotangent).message == "");
    CHECK(!check_pullback(Sine{.factor = -1}, at, cotangent));
}

TEST_CASE("a derivative, point by point")
{
    const auto square = [](double s) { return s * s; };
    CHECK(check_derivative("2 s", square, [](double s) { return 2 * s; }, {0.0, 1.0, 50.0}).ok());
    CHECK(check_derivative("s", square, [](double s) { return s; }, {0.0, 1.0}).message ==
          "s at 1 is 1, differences say 2");
}

TEST_CASE("kinks are passed over, but not everywhere")
{
    const auto loss = [](const std::vector<double>& v, const auto&... d) {
        double sum = 0;
        for (std::size_t i = 0; i < v.size(); ++i) {
            sum += std::fabs(v[i] - 1e-5);
            ((d.view.data[i] = v[i] > 1e-5 ? 1 : -1), ...);
        }
        return sum;
    };
    CHECK(check_gradient(loss, std::vector<double>{1, 2, 3, 0}).message == "");
    CHECK(check_gradient(loss, std::vector<double>{0, 0}).message.find("cannot tell") !=
          std::string::npos);
}

namespace {

/// As a user would write one: the batch's rows are paired with their neighbours.
struct Neighbours {
    Index offset = 1;
    template <class G>
    void operator()(G&, std::span<Index> partner) const
    {
        const auto n = static_cast<Index>(partner.size());
        for (Index i = 0; i < n; ++i)
            partner[static_cast<std::size_t>(i)] = (i + offset) % n;
    }
};

struct Coefficient {
    double lambda = 0.7;
    double drift = 0; ///< right: 0
    template <class G>
    double operator()(G&) const
    {
        static double calls = 0;
        return lambda + drift * ++calls;
    }
};

/// A mixer whose pullback forgets the partners.
struct Forgets : Mixup<Coefficient, Neighbours> {
    template <class G, class D>
    void pullback(const MixPlan& plan, const G& gm, const D& gx) const
    {
        MixPlan other = plan;
        for (std::size_t i = 0; i < plan.partner.size(); ++i)
            other.partner[i] = static_cast<Index>(i);
        Mixup::pullback(other, gm, gx);
    }
};

} // namespace

TEST_CASE("a user's mixing policy")
{
    using Mixer = Mixup<Coefficient, Neighbours>;
    const auto check = [](const auto& mixer) { return check_mixing_policy(mixer, x).message; };
    CHECK(check(Mixer{}) == "");
    CHECK(check(Mixup<>{}) == "");
    CHECK(check(Mixer{.coefficient = {.lambda = 1.5}}).find("1.5 is not in [0, 1]") !=
          std::string::npos);
    CHECK(check(Mixer{.pairing = {.offset = -1}}).starts_with("partner -1 is not"));
    CHECK(check(Mixer{.coefficient = {.lambda = 0.1, .drift = 1e-9}})
              .starts_with("the plan depends on something else"));
    CHECK(check(Forgets{}).starts_with("<apply(x), c> is "));
}

namespace {

/// Tukey's biweight, as a user would write it.
struct Tukey {
    double c = 1;
    double first = 3;   ///< right: 3
    double second = -6; ///< right: -6

    template <class V>
    Rho<V> operator()(V s) const
    {
        using namespace temper::math;
        const V t = max(V(1) - s / V(c * c), V(0));
        return {V(1) - t * t * t, V(first / (c * c)) * t * t, V(second / (c * c * c * c)) * t};
    }
};

/// The same for plain numbers only.
struct PlainTukey {
    double c = 1;
    Rho<double> operator()(double s) const { return Tukey{c}(s); }
};

/// What it gives for packs is not what it gives for numbers.
struct SplitTukey {
    Rho<double> operator()(double s) const { return Tukey{1}(s); }
    template <class V>
    Rho<V> operator()(V s) const
    {
        return Tukey{1.01}(s);
    }
};

struct Shrinking {
    template <class V>
    Rho<V> operator()(V s) const
    {
        return {-s, V(-1), V(0)};
    }
};

} // namespace

TEST_CASE("a user's robust kernel")
{
    CHECK(check_robust_kernel(Tukey{}).message == "");
    CHECK(check_robust_kernel(Tukey{.c = 0.01}, 0.01).message == "");
    CHECK(check_robust_kernel(PlainTukey{}).message == "");
    CHECK(check_robust_kernel(Tukey{.first = 1}).message.starts_with("rho' at 0.01 is "));
    CHECK(check_robust_kernel(Tukey{.second = 6}).message.starts_with("rho'' at 0.01 is "));
    CHECK(check_robust_kernel(SplitTukey{}).message.starts_with("the value of a row is "));
    CHECK(check_robust_kernel(Shrinking{}).message.ends_with("must not cost less"));
}

TEST_CASE("the kernels of the library")
{
    CHECK(check_robust_kernel(Cauchy{.c = 0.5}, 0.5).message == "");
    CHECK(check_robust_kernel(Huber{.c = 2}, 2).message == "");
    CHECK(check_robust_kernel(PseudoHuber{.c = 0.001}, 0.001).message == "");
    CHECK(check_robust_kernel(Barron{.alpha = -1, .c = 1}).message == "");
}
