// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/schedule.hpp>

#include <functional>

namespace {

struct TakesAnything {
    static constexpr std::string_view name = "TakesAnything";
    template <class A>
    double operator()(const A&) const
    {
        return 0;
    }
};
struct GivesText {
    std::string operator()(temper::Index) const { return ""; }
};
struct NotConst {
    double operator()(temper::Index) { return 0; }
};

} // namespace

TEST_CASE("Schedule: whatever is callable on a step, but no number and no component", "[schedule]")
{
    const auto ramp = [](temper::Index step) { return step < 100 ? 0.0 : 1.0; };
    const auto whole = [](auto step) { return 2 * step; };
    static_assert(temper::Schedule<decltype(ramp)>);
    static_assert(temper::Schedule<decltype(whole)>);
    static_assert(temper::Schedule<std::function<double(temper::Index)>>);
    static_assert(!temper::Schedule<double>);
    static_assert(!temper::Schedule<int>);
    static_assert(!temper::Schedule<TakesAnything>);
    static_assert(!temper::Schedule<GivesText>);
    static_assert(!temper::Schedule<NotConst>);
    CHECK(ramp(99) == 0);
    CHECK(whole(temper::Index{4}) == 8);
}
