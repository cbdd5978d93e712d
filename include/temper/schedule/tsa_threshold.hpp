// SPDX-License-Identifier: BSL-1.0
#pragma once

// Training signal annealing: how sure of a labelled sample a network may be before the sample is left out,
// released while training goes on.
//
//   value(t) = a (end - 1 / k) + 1 / k         r = min(1, t / steps), k classes
//   linear        a = r
//   exponential   a = exp(scale (r - 1))       late, for few labels; begins at e^-scale, not 0
//   logarithmic   a = 1 - exp(-scale r)        early, for many; ends at 1 - e^-scale, not 1
//
// For TsaCrossEntropy's threshold. Steps beyond the last stay there (the published code goes on).
// RangeError: classes < 1, steps < 1, t < 0.
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020).

#include <temper/schedule/schedule.hpp>

#include <cmath>

namespace temper::inline TEMPER_ABI {

struct TsaThreshold {
    enum class Shape { linear, exponential, logarithmic };
    Index classes = 0;
    Index steps = 0;
    Shape shape = Shape::linear;
    double end = 1;
    double scale = 5;

    double operator()(Index step) const
    {
        const double r = detail::progress("TsaThreshold", step, steps);
        require(classes >= 1, "TsaThreshold", "classes", static_cast<double>(classes),
                "at least 1");
        const double start = 1 / static_cast<double>(classes);
        const double a = shape == Shape::linear        ? r
                         : shape == Shape::exponential ? std::exp(scale * (r - 1))
                                                       : 1 - std::exp(-scale * r);
        return a * (end - start) + start;
    }
    friend bool operator==(const TsaThreshold&, const TsaThreshold&) = default;
};

} // namespace temper::inline TEMPER_ABI
