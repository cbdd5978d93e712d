// SPDX-License-Identifier: BSL-1.0
#pragma once

// One schedule after another, at given steps. Each sees the steps since its own start.
//
//   const auto rate = temper::sequence({100, 900}, Linear{.to = 0.1, .steps = 100},
//                                      Constant{0.1}, Cosine{.from = 0.1, .steps = 100});
//
// is the line in steps 0 to 99, the constant in 100 to 899, the cosine from 900 on. RangeError at
// the call: starts that are not increasing or not positive, t < 0.

#include <temper/schedule/schedule.hpp>

#include <array>
#include <tuple>

namespace temper::inline TEMPER_ABI {

template <Schedule... S>
    requires(sizeof...(S) >= 1)
struct Sequence {
    std::array<Index, sizeof...(S) - 1> starts{}; // of all schedules but the first
    std::tuple<S...> schedules{};

    double operator()(Index step) const
    {
        require(step >= 0, "Sequence", "step", static_cast<double>(step), "non-negative");
        Index last = 0;
        for (const Index start : starts) {
            require(start > last, "Sequence", "starts", static_cast<double>(start),
                    "above the start before, " + text(last));
            last = start;
        }
        return at<0>(step, 0);
    }
    friend bool operator==(const Sequence&, const Sequence&) = default;

  private:
    template <std::size_t I>
    [[nodiscard]] double at(Index step, Index began) const
    {
        if constexpr (I + 1 < sizeof...(S))
            if (step >= starts[I])
                return at<I + 1>(step, starts[I]);
        return static_cast<double>(std::get<I>(schedules)(step - began));
    }
};

template <std::size_t N, Schedule... S>
    requires(N + 1 == sizeof...(S))
[[nodiscard]] Sequence<S...> sequence(const Index (&starts)[N], const S&... schedules)
{
    Sequence<S...> out{{}, {schedules...}};
    for (std::size_t i = 0; i < N; ++i)
        out.starts[i] = starts[i];
    return out;
}

} // namespace temper::inline TEMPER_ABI
