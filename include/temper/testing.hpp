// SPDX-License-Identifier: BSL-1.0
#pragma once

// The laws that temper's own components are tested with, for yours, under any test framework or none:
//
//   const auto result = temper::testing::check_gradient(my_loss, x, y);   // my_loss(x, y, into(gx), into(gy))
//   if (!result) std::puts(result.message.c_str());
//
//   check_gradient        gradients are those of the value, by central differences
//   check_modes           into, add_to, a scale and discard agree
//   check_layouts         rows, columns and strided windows agree; nothing outside of them is written
//   check_repeat          the same bits when called again, and for any number of threads
//   check_pullback        pullback is the derivative of forward, transposed
//   check_derivative      df is the derivative of f, point by point
//   check_robust_kernel   rho' and rho'' are derivatives, and RobustLoss computes with them
//   check_mixing_policy   plans of a mixer are sound, and its pullback is the transpose of its apply
//
// Arguments are owners of doubles (matrices, vectors: they are copied and moved about), all of them
// differentiable; whatever else a call takes (labels, plans, states, weights) is captured by a lambda:
//
//   check_gradient([&](const auto& z, const auto&... rest) { return loss(z, labels(y), rest...); }, z);
//
// At a kink the differences cannot tell; entries there are passed over, and the check fails if they are
// more than a quarter of an argument.

#include <temper/core/destination.hpp>
#include <temper/core/random.hpp>
#include <temper/core/targets.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace temper::inline TEMPER_ABI {

template <class Kernel>
struct RobustLoss; // of <temper/loss/robust_loss.hpp>, which whoever checks a kernel includes

namespace testing {

/// What a check found; the message is empty where all is well.
struct Result {
    std::string message;
    [[nodiscard]] bool ok() const { return message.empty(); }
    explicit operator bool() const { return ok(); }
};

// ---- tensors by flat index -----------------------------------------------------------------------

/// Entry i in row-major order.
template <class T>
[[nodiscard]] T& entry(const AnyView<T>& v, Index i)
{
    Index offset = 0;
    for (int d = v.rank - 1; d >= 0; --d) {
        offset += i % v.extent(d) * v.stride(d);
        i /= v.extent(d);
    }
    return v.data[offset];
}

/// "[1, 2]": where entry i is.
template <class T>
[[nodiscard]] std::string place(const AnyView<T>& v, Index i)
{
    std::string out;
    for (int d = v.rank - 1; d >= 0; --d) {
        out = std::to_string(i % v.extent(d)) + (out.empty() ? "" : ", ") + out;
        i /= v.extent(d);
    }
    return "[" + out + "]";
}

/// Calls f(entry, i) in row-major order.
template <class T, class F>
void each_entry(const AnyView<T>& v, const F& f)
{
    std::array<Index, max_rank> at{};
    T* p = v.data;
    const Index size = v.size();
    for (Index i = 0; i < size; ++i) {
        f(*p, i);
        for (int d = v.rank - 1; d >= 0; --d) {
            p += v.stride(d);
            if (++at[static_cast<std::size_t>(d)] < v.extent(d))
                break;
            p -= v.stride(d) * v.extent(d);
            at[static_cast<std::size_t>(d)] = 0;
        }
    }
}

/// The entries in row-major order.
template <class T>
[[nodiscard]] std::vector<std::remove_const_t<T>> entries(const AnyView<T>& v)
{
    std::vector<std::remove_const_t<T>> out;
    out.reserve(static_cast<std::size_t>(v.size()));
    each_entry(v, [&](const T& number, Index) { out.push_back(number); });
    return out;
}

template <class T>
void assign(const AnyView<T>& v, const std::vector<T>& numbers)
{
    each_entry(v, [&](T& to, Index i) { to = numbers[static_cast<std::size_t>(i)]; });
}

template <class T>
void fill(const AnyView<T>& v, T number)
{
    each_entry(v, [&](T& to, Index) { to = number; });
}

/// A number with all its digits.
[[nodiscard]] inline std::string digits(double number)
{
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.10g", number);
    return buffer;
}

enum class Layout { rows, columns, strided };

/// A tensor in memory of our own, laid out as asked, not aligned, and with guards around it and (where
/// it is strided: inner stride 2, every row padded) between its entries.
template <class T>
class Window {
  public:
    Window() = default;
    Window(std::span<const Index> extents, Layout layout, T guard) : guard_(guard)
    {
        constexpr Index before = 3;
        constexpr Index after = 19;
        const auto rank = static_cast<int>(extents.size());
        view_.rank = rank;
        Index stride = layout == Layout::strided ? 2 : 1;
        for (int k = 0; k < rank; ++k) {
            const auto d = static_cast<std::size_t>(layout == Layout::columns ? k : rank - 1 - k);
            view_.extents[d] = extents[d];
            view_.strides[d] = stride;
            stride *= (std::max)(extents[d], Index{1}) + (layout == Layout::strided ? 1 : 0);
        }
        memory_.assign(static_cast<std::size_t>(before + stride + after), guard);
        view_.data = memory_.data() + before;
        inside_.assign(memory_.size(), 0);
        each_entry(view_, [&](T& inside, Index) {
            inside_[static_cast<std::size_t>(&inside - memory_.data())] = 1;
        });
    }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    Window(Window&&) = default;
    Window& operator=(Window&&) = default;

    [[nodiscard]] const AnyView<T>& view() const { return view_; }
    [[nodiscard]] AnyView<const T> const_view() const { return view_; }
    /// Has anything outside of the window been written to?
    [[nodiscard]] bool spilled() const
    {
        for (std::size_t i = 0; i < memory_.size(); ++i)
            if (inside_[i] == 0 && std::memcmp(&memory_[i], &guard_, sizeof(T)) != 0)
                return true;
        return false;
    }

  private:
    std::vector<T> memory_;
    std::vector<unsigned char> inside_;
    AnyView<T> view_;
    T guard_{};
};

// ---- differences ---------------------------------------------------------------------------------

/// The derivative of f() with respect to x, and how far it may be off.
struct Slope {
    double value;
    double uncertainty;
};

/// Central differences at two steps, extrapolated; what the two disagree by, plus the rounding of f, is
/// the uncertainty. It is large next to a kink.
template <class F>
[[nodiscard]] Slope slope(const F& f, double& x)
{
    const double at = x;
    double size = 0;
    const auto quotient = [&](double h) {
        x = at + h;
        const double upper = x;
        const double f_upper = f();
        x = at - h;
        const double width = upper - x;
        const double f_lower = f();
        x = at;
        size = std::fabs(f_upper) + std::fabs(f_lower);
        return (f_upper - f_lower) / width;
    };
    const double step = 0x1p-13 * (std::max)(1.0, std::fabs(at));
    const double coarse = quotient(step);
    const double fine = quotient(step / 2);
    const double rounding = 16 * std::numeric_limits<double>::epsilon() * size / step;
    return {fine + (fine - coarse) / 3, std::fabs(fine - coarse) + rounding};
}

/// Compares `gradient` with the differences of f(), which reads the entries of x.
template <class F>
[[nodiscard]] Result compare_gradient(const std::string& name, const AnyView<double>& x,
                                      const AnyView<const double>& gradient, const F& f,
                                      double tolerance = 1e-6)
{
    std::vector<Slope> slopes;
    double largest = 0;
    for (Index i = 0; i < x.size(); ++i) {
        slopes.push_back(slope(f, entry(x, i)));
        largest =
            (std::max)({largest, std::fabs(slopes.back().value), std::fabs(entry(gradient, i))});
    }
    Index at_kinks = 0;
    for (Index i = 0; i < x.size(); ++i) {
        const auto [value, uncertainty] = slopes[static_cast<std::size_t>(i)];
        const double got = entry(gradient, i);
        if (uncertainty > 1e-3 * largest && uncertainty > tolerance)
            ++at_kinks;
        else if (!(std::fabs(got - value) <= tolerance * largest + uncertainty))
            return {name + " at " + place(x, i) + " is " + digits(got) + ", differences say " +
                    digits(value)};
    }
    if (4 * at_kinks > x.size())
        return {name + ": differences cannot tell at " + std::to_string(at_kinks) + " of " +
                std::to_string(x.size()) + " entries"};
    return {};
}

// ---- comparing -----------------------------------------------------------------------------------

/// Entries agree up to `tolerance` of the largest one; infinities agree with themselves.
template <class T>
[[nodiscard]] Result compare(const std::string& name, const AnyView<const T>& got,
                             const std::vector<T>& want, double tolerance, double floor = 0)
{
    double largest = floor;
    for (const T number : want)
        if (std::isfinite(number))
            largest = (std::max)(largest, static_cast<double>(std::fabs(number)));
    Index wrong = got.size();
    each_entry(got, [&](const T& number, Index i) {
        const auto a = static_cast<double>(number);
        const auto b = static_cast<double>(want[static_cast<std::size_t>(i)]);
        if (a != b && !(std::isnan(a) && std::isnan(b)) &&
            !(std::fabs(a - b) <= tolerance * largest))
            wrong = (std::min)(wrong, i);
    });
    if (wrong < got.size())
        return {name + " at " + place(got, wrong) + " is " +
                digits(static_cast<double>(entry(got, wrong))) + ", not " +
                digits(static_cast<double>(want[static_cast<std::size_t>(wrong)]))};
    return {};
}

/// What rounding may do to a sum of moderate length.
template <class T>
inline constexpr double rounding = std::is_same_v<T, float> ? 2e-5 : 1e-11;

/// Runs f() with `threads` threads, where OpenMP is there to ask.
template <class F>
decltype(auto) with_threads([[maybe_unused]] int threads, const F& f)
{
#ifdef _OPENMP
    struct Restore {
        int before = omp_get_max_threads();
        ~Restore() { omp_set_num_threads(before); }
    } restore;
    omp_set_num_threads(threads);
#endif
    return f();
}

// ---- the laws ------------------------------------------------------------------------------------

namespace detail {

inline std::string gradient_name(std::size_t i)
{
    return "the gradient of argument " + std::to_string(i + 1);
}

template <class O>
using WritableScalar = std::remove_pointer_t<decltype(view(std::declval<O&>()).data)>;

/// Owned copies of the arguments of a component, and a gradient for each.
template <class... X>
struct Call {
    static_assert(
        (!std::is_const_v<WritableScalar<X>> && ...),
        "temper: give the check owners of numbers (matrices, vectors): it copies them and "
        "moves their entries about");
    static constexpr std::size_t size = sizeof...(X);
    using T = std::common_type_t<WritableScalar<X>...>;

    explicit Call(const X&... x) : inputs(x...), gradients(x...)
    {
        const std::array<const void*, size> given{static_cast<const void*>(view(x).data)...};
        for (std::size_t i = 0; i < size; ++i)
            if (input_views()[i].size() > 0 &&
                (given[i] == input_views()[i].data || given[i] == gradient_views()[i].data))
                fail("testing", "argument " + std::to_string(i + 1), "shares memory with its copy",
                     "an owner of numbers");
    }
    std::array<AnyView<T>, size> input_views()
    {
        return std::apply([](X&... x) { return std::array{AnyView<T>(view(x))...}; }, inputs);
    }
    std::array<AnyView<T>, size> gradient_views()
    {
        return std::apply([](X&... x) { return std::array{AnyView<T>(view(x))...}; }, gradients);
    }
    template <class Loss>
    double value(const Loss& loss) const
    {
        return std::apply([&](const X&... x) { return static_cast<double>(loss(x...)); }, inputs);
    }
    /// With destinations of these scales and modes.
    template <class Loss>
    double run(const Loss& loss, const std::array<Into<T>, size>& to) const
    {
        return std::apply(
            [&](const X&... x) {
                return std::apply(
                    [&](const auto&... d) { return static_cast<double>(loss(x..., d...)); }, to);
            },
            inputs);
    }
    std::array<Into<T>, size> destinations(double scale, Mode mode, T filling)
    {
        std::array<Into<T>, size> to;
        for (std::size_t i = 0; i < size; ++i) {
            to[i] = {gradient_views()[i], scale, mode};
            fill(to[i].view, filling);
        }
        return to;
    }

    std::tuple<X...> inputs;
    std::tuple<X...> gradients;
};

template <class T>
inline constexpr T nan = std::numeric_limits<T>::quiet_NaN();

/// A view of the rank that view(owner) has.
template <class O, class T>
auto like_view_of(const AnyView<T>& v)
{
    if constexpr (static_rank<O>() == any_rank)
        return v;
    else
        return v.template as<static_rank<O>()>();
}

} // namespace detail

/// Central differences of loss(x...) against what loss(x..., into(gx)...) writes. In double.
template <class Loss, class... X>
[[nodiscard]] Result check_gradient(const Loss& loss, const X&... x)
{
    detail::Call<X...> call(x...);
    static_assert(std::is_same_v<typename decltype(call)::T, double>,
                  "temper: differences need double; give the check double arguments");
    call.run(loss, call.destinations(1, Mode::overwrite, detail::nan<double>));
    for (std::size_t i = 0; i < call.size; ++i) {
        const auto result =
            compare_gradient(detail::gradient_name(i), call.input_views()[i],
                             call.gradient_views()[i], [&] { return call.value(loss); });
        if (!result)
            return result;
    }
    return {};
}

/// The value and what is written do not depend on which destinations were asked for and how.
template <class Loss, class... X>
[[nodiscard]] Result check_modes(const Loss& loss, const X&... x)
{
    detail::Call<X...> call(x...);
    using T = typename decltype(call)::T;
    constexpr std::size_t size = decltype(call)::size;
    constexpr T filling = T(0.75);

    const double value = call.run(loss, call.destinations(1, Mode::overwrite, detail::nan<T>));
    std::array<std::vector<T>, size> want;
    for (std::size_t i = 0; i < size; ++i) {
        want[i] = entries(call.gradient_views()[i]);
        for (const T number : want[i])
            if (std::isnan(number))
                return {detail::gradient_name(i) + " is NaN or was not written everywhere"};
    }
    const auto same_value = [&](double got, const char* how) {
        return std::fabs(got - value) <= rounding<T> * std::fabs(value)
                   ? Result{}
                   : Result{std::string("the value ") + how + " is " + digits(got) + ", not " +
                            digits(value)};
    };
    if (const auto r = same_value(call.value(loss), "without gradients"); !r)
        return r;

    struct Way {
        double scale;
        Mode mode;
        const char* text;
    };
    for (const Way way : {Way{1, Mode::add, " under add_to"}, Way{-2.5, Mode::add, " under add_to"},
                          Way{0.5, Mode::overwrite, " under a scale"}}) {
        const double got = call.run(loss, call.destinations(way.scale, way.mode, filling));
        if (const auto r = same_value(got, way.text); !r)
            return r;
        for (std::size_t i = 0; i < size; ++i) {
            std::vector<T> scaled = want[i];
            for (T& number : scaled)
                number = static_cast<T>(way.scale) * number + (way.mode == Mode::add ? filling : 0);
            const auto r = compare(detail::gradient_name(i) + way.text,
                                   AnyView<const T>(call.gradient_views()[i]), scaled, rounding<T>);
            if (!r)
                return r;
        }
    }
    for (std::size_t discarded = 0; discarded < size; ++discarded) {
        auto to = call.destinations(1, Mode::overwrite, filling);
        to[discarded].mode = Mode::discard;
        if (const auto r = same_value(call.run(loss, to), "with one gradient discarded"); !r)
            return r;
        for (std::size_t i = 0; i < size; ++i) {
            const std::vector<T> untouched(want[i].size(), filling);
            const auto r = compare(detail::gradient_name(i) +
                                       (i == discarded ? ", discarded," : " beside a discard"),
                                   AnyView<const T>(call.gradient_views()[i]),
                                   i == discarded ? untouched : want[i], rounding<T>);
            if (!r)
                return r;
        }
    }
    return {};
}

/// The component must take temper's views (as whatever calls temper::view on its arguments does).
template <class Loss, class... X>
[[nodiscard]] Result check_layouts(const Loss& loss, const X&... x)
{
    detail::Call<X...> call(x...);
    using T = typename decltype(call)::T;
    constexpr std::size_t size = decltype(call)::size;
    const double value = call.run(loss, call.destinations(1, Mode::overwrite, detail::nan<T>));

    const auto check = [&](Layout inputs, Layout outputs, const std::string& how) -> Result {
        std::array<Window<T>, size> in;
        std::array<Window<T>, size> out;
        std::array<Into<T>, size> to;
        for (std::size_t i = 0; i < size; ++i) {
            const AnyView<T> v = call.input_views()[i];
            const std::span<const Index> extents(v.extents.data(),
                                                 static_cast<std::size_t>(v.rank));
            in[i] = Window<T>(extents, inputs, detail::nan<T>);
            assign(in[i].view(), entries(v));
            out[i] = Window<T>(extents, outputs, T(0.75));
            fill(out[i].view(), detail::nan<T>);
            to[i] = {out[i].view(), 1, Mode::overwrite};
        }
        const double got = [&]<std::size_t... I>(std::index_sequence<I...>) {
            return static_cast<double>(
                loss(detail::like_view_of<X>(in[I].const_view())..., to[I]...));
        }(std::index_sequence_for<X...>{});
        if (!(std::fabs(got - value) <= rounding<T> * std::fabs(value)))
            return {"the value of " + how + " is " + digits(got) + ", not " + digits(value)};
        for (std::size_t i = 0; i < size; ++i) {
            const auto r = compare(detail::gradient_name(i) + " of " + how, out[i].const_view(),
                                   entries(call.gradient_views()[i]), rounding<T>);
            if (!r)
                return r;
            if (out[i].spilled())
                return {detail::gradient_name(i) + " of " + how + " is written outside its window"};
        }
        return {};
    };
    for (const auto& [inputs, outputs, how] :
         {std::tuple{Layout::columns, Layout::rows, "columns"},
          std::tuple{Layout::rows, Layout::columns, "rows into columns"},
          std::tuple{Layout::strided, Layout::rows, "strided inputs"},
          std::tuple{Layout::rows, Layout::strided, "rows into strided gradients"},
          std::tuple{Layout::strided, Layout::strided, "strided inputs and gradients"}})
        if (const auto r = check(inputs, outputs, how); !r)
            return r;
    return {};
}

/// The same bits when called again and for 1, 2 and 3 threads.
template <class Loss, class... X>
[[nodiscard]] Result check_repeat(const Loss& loss, const X&... x)
{
    detail::Call<X...> call(x...);
    using T = typename decltype(call)::T;
    const auto run = [&](int threads) {
        return with_threads(threads, [&] {
            std::vector<double> bits{
                call.run(loss, call.destinations(1, Mode::overwrite, detail::nan<T>))};
            for (const auto& v : call.gradient_views())
                for (const T number : entries(v))
                    bits.push_back(static_cast<double>(number));
            return bits;
        });
    };
    const auto first = run(1);
    for (const int threads : {1, 2, 3}) {
        const auto again = run(threads);
        if (std::memcmp(first.data(), again.data(), first.size() * sizeof(double)) != 0)
            return {threads == 1
                        ? "called again, it gives other bits"
                        : "with " + std::to_string(threads) + " threads it gives other bits"};
    }
    return {};
}

/// <forward(x), cotangent> has the gradient that pullback(x, cotangent, into(gx)) writes. `cotangent`
/// has the shape of the output.
template <class Map, class X, class Y>
[[nodiscard]] Result check_pullback(const Map& map, const X& x, const Y& cotangent)
{
    Y y = cotangent;
    const AnyView<const double> weight(view(cotangent));
    return check_gradient(
        [&](const X& at, const auto&... gradient) {
            fill(AnyView<double>(view(y)), detail::nan<double>);
            map.forward(at, into(y));
            (map.pullback(at, cotangent, gradient), ...);
            double sum = 0;
            for (Index i = 0; i < weight.size(); ++i)
                sum += entry(weight, i) * entry(AnyView<const double>(view(y)), i);
            return sum;
        },
        x);
}

/// f'(s) is df(s) at every point; one that lies next to a kink is passed over.
template <class F, class DF>
[[nodiscard]] Result check_derivative(const std::string& name, const F& f, const DF& df,
                                      std::initializer_list<double> points)
{
    for (double s : points) {
        const double at = s;
        const auto [value, uncertainty] = slope([&] { return static_cast<double>(f(s)); }, s);
        const auto got = static_cast<double>(df(at));
        const double scale = (std::max)(std::fabs(value), std::fabs(got));
        if (!(uncertainty > 1e-3 * scale) &&
            !(std::fabs(got - value) <= 1e-6 * scale + uncertainty))
            return {name + " at " + digits(at) + " is " + digits(got) + ", differences say " +
                    digits(value)};
    }
    return {};
}

/// A kernel of your own for RobustLoss. `scale` is the residual around which it bends (its c).
template <class Kernel>
[[nodiscard]] Result check_robust_kernel(const Kernel& kernel, double scale = 1)
{
    static_assert(
        requires { sizeof(RobustLoss<Kernel>); },
        "temper: include <temper/loss/robust_loss.hpp> to check a robust kernel");
    const double unit = scale * scale;
    const auto at = [&](double t) { return kernel(t * unit); };
    if (!std::isfinite(at(0).value))
        return {"rho(0) is " + digits(at(0).value)};
    for (const double t : {0.01, 0.1, 0.5, 0.9, 1.1, 2.0, 4.0, 10.0, 100.0}) {
        const auto first = check_derivative(
            "rho'", [&](double s) { return at(s).value; },
            [&](double s) { return unit * at(s).first; }, {t});
        const auto second = check_derivative(
            "rho''", [&](double s) { return unit * at(s).first; },
            [&](double s) { return unit * unit * at(s).second; }, {t});
        if (!first || !second)
            return {(first ? second : first).message + " (all in units of the scale)"};
        if (!(at(t).first >= 0))
            return {"rho' at " + digits(t * unit) + " is " + digits(at(t).first) +
                    ", but a larger residual must not cost less"};
    }

    // As RobustLoss computes it, with packs of numbers where the kernel takes them.
    RobustLoss<Kernel> loss{kernel};
    loss.reduction = decltype(loss.reduction)::sum;
    const auto agrees = [&](auto zero) -> Result {
        using T = decltype(zero);
        constexpr std::size_t n = 37;
        std::array<T, n> residuals{};
        std::array<T, n> gradient{};
        std::vector<T> want(n);
        double value = 0;
        for (std::size_t i = 0; i < n; ++i) {
            residuals[i] = static_cast<T>(scale * 0.15 * (static_cast<double>(i) - 18.4));
            const double r = static_cast<double>(residuals[i]);
            const auto rho = kernel(r * r);
            value += rho.value;
            want[i] = static_cast<T>(2 * rho.first * r);
        }
        const std::array<T, n> zeros{};
        const Index extents[] = {1, static_cast<Index>(n)};
        const double got = loss(view(residuals.data(), extents), view(zeros.data(), extents),
                                into(view(gradient.data(), extents)));
        if (!(std::fabs(got - value) <= rounding<T> * std::fabs(value)))
            return {"the value of a row is " + digits(got) + ", not " + digits(value)};
        return compare("the gradient of a row", AnyView<const T>(view(gradient)), want,
                       rounding<T>);
    };
    if (const auto r = agrees(0.0); !r)
        return r;
    return agrees(0.0F);
}

/// Mixup with a policy of your own in one of its slots, on the batch x [n, ...]. Blends of images want
/// their size: check_mixing_policy(mixup, x, ImageSize{28, 28}).
template <class Mixer, class X, class... Image>
[[nodiscard]] Result check_mixing_policy(const Mixer& mixer, const X& x, const Image&... image)
{
    const AnyView<const double> in(view(x));
    const Index n = in.extent(0);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        auto rng = stream(seed, 0, "check_mixing_policy");
        auto same = rng;
        const auto plan = mixer.draw(rng, n, image...);
        if (!(plan == mixer.draw(same, n, image...)))
            return {"the plan depends on something else than the generator"};
        for (const Index partner : plan.partner)
            if (partner < 0 || partner >= n)
                return {"partner " + std::to_string(partner) + " is not in the batch"};
        for (const auto* weights : {&plan.lambda, &plan.label_lambda})
            for (const double weight : *weights)
                if (!(weight >= 0 && weight <= 1))
                    return {"the weight " + digits(weight) + " is not in [0, 1]"};

        // <apply(x), c> = <x, pullback(c)>, as apply is linear.
        X mixed = x;
        X cotangent = x;
        X gradient = x;
        const AnyView<double> m(view(mixed));
        const AnyView<double> c(view(cotangent));
        const AnyView<double> g(view(gradient));
        for (Index i = 0; i < c.size(); ++i)
            entry(c, i) = normal(rng);
        fill(m, detail::nan<double>);
        fill(g, detail::nan<double>);
        mixer.apply(plan, x, into(mixed));
        mixer.pullback(plan, cotangent, into(gradient));
        double forward = 0;
        double backward = 0;
        double size = 1;
        for (Index i = 0; i < c.size(); ++i) {
            forward += entry(m, i) * entry(c, i);
            backward += entry(in, i) * entry(g, i);
            size += std::fabs(entry(m, i) * entry(c, i));
        }
        if (!(std::fabs(forward - backward) <= 1e-12 * size))
            return {"<apply(x), c> is " + digits(forward) + ", but <x, pullback(c)> is " +
                    digits(backward)};

        constexpr Index k = 3;
        std::vector<Index> classes(static_cast<std::size_t>(n));
        for (Index& label : classes)
            label = uniform_index(rng, k);
        std::vector<double> targets(static_cast<std::size_t>(n * k), detail::nan<double>);
        const auto t = view(targets.data(), {n, k});
        mixer.mix_labels(plan, labels(classes), k, into(t));
        for (Index i = 0; i < n; ++i)
            if (!(std::fabs(t(i, Index{0}) + t(i, Index{1}) + t(i, Index{2}) - 1) <= 1e-12))
                return {"the mixed label of sample " + std::to_string(i) + " does not sum to 1"};
    }
    return {};
}

} // namespace testing
} // namespace temper::inline TEMPER_ABI
