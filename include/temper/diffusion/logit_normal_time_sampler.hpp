// SPDX-License-Identifier: BSL-1.0
#pragma once

// Times of diffusion training that are seldom near either end, of a standard normal u.
//
//   t = t0 + (t1 - t0) / (1 + exp(-(mean + deviation u)))
//
// Rounds to t0 or t1 exactly only for |u| beyond 37; losses that divide by t want margins there (t0 = 1e-3).
// RangeError: deviation < 0.
// Esser et al., Scaling Rectified Flow Transformers for High-Resolution Image Synthesis (2024); Wang et al.,
// FiTv2 (2024), where t = 0 is noise and t = 1 data.

#include <temper/core/random.hpp>

namespace temper::inline TEMPER_ABI {

struct LogitNormalTimeSampler {
    static constexpr std::string_view name = "LogitNormalTimeSampler";
    double mean = 0;
    double deviation = 1;
    double t0 = 0;
    double t1 = 1;

    [[nodiscard]] double operator()(double u) const
    {
        require(deviation >= 0, name, "deviation", deviation, "non-negative");
        const double x = mean + deviation * u;
        const double e = std::exp(-std::fabs(x)); // never overflows
        const double sigmoid = x >= 0 ? 1 / (1 + e) : e / (1 + e);
        return t0 + (t1 - t0) * sigmoid;
    }
    template <BitGenerator G>
    [[nodiscard]] double draw(G& rng) const
    {
        return (*this)(normal(rng));
    }
    friend bool operator==(const LogitNormalTimeSampler&, const LogitNormalTimeSampler&) = default;
};

} // namespace temper::inline TEMPER_ABI
