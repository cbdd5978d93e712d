// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mixup that stops early: the probability with which a batch is mixed.
//
//   value(t) = probability                               t < stop - ramp
//              probability * (stop - t) / (ramp + 1)     until stop
//              0                                         t >= stop
//
// ramp = 0 is the paper's switch, and `on(t)` says it as a yes or no; after it nothing but the mixing
// changes: the learning rate and the optimiser's state stay. The paper stops after one half to three
// quarters of the training; stop has no default. stop = 0 is no mixup, stop = all steps is mixup to the
// end. RangeError: stop < 0, ramp outside [0, stop], probability outside [0, 1], t < 0.
// Zou et al., The Benefits of Mixup for Feature Learning (2023).

#include <temper/core/random.hpp>
#include <temper/schedule/schedule.hpp>

namespace temper::inline TEMPER_ABI {

struct MixupUntil {
    Index stop;
    Index ramp = 0;
    double probability = 1;

    double operator()(Index step) const
    {
        const auto check = [](bool ok, std::string_view argument, double value,
                              std::string_view must_be) {
            require(ok, "MixupUntil", argument, value, must_be);
        };
        check(stop >= 0, "stop", static_cast<double>(stop), "non-negative");
        check(ramp >= 0 && ramp <= stop, "ramp", static_cast<double>(ramp), "from 0 to stop");
        check(probability >= 0 && probability <= 1, "probability", probability, "from 0 to 1");
        check(step >= 0, "step", static_cast<double>(step), "non-negative");
        if (step >= stop)
            return 0;
        const Index left = stop - step;
        return left > ramp
                   ? probability
                   : probability * static_cast<double>(left) / static_cast<double>(ramp + 1);
    }
    /// Is this batch mixed at all?
    [[nodiscard]] bool on(Index step) const { return (*this)(step) > 0; }
    /// Is this batch mixed? Draws one number.
    template <class G>
    [[nodiscard]] bool draw(G& rng, Index step) const
    {
        return bernoulli(rng, (*this)(step));
    }
    friend bool operator==(const MixupUntil&, const MixupUntil&) = default;
};

} // namespace temper::inline TEMPER_ABI
