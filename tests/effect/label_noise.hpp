// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effect tests of techniques against label noise share beside the examples' code: several seeds,
// and their mean in print.

#include "digits/noisy_labels.hpp"
#include "effect/support.hpp"

#include "support/catch.hpp"
#include "support/matrix.hpp"
#include "support/mlp.hpp"

#include <cstdio>
#include <string>
#include <vector>

namespace effect {

using demo::Batch;
using demo::for_each_batch;
using demo::judge;
using demo::Learner;
using demo::NoisyDigits;
using demo::Outcome;
using support::Matrix;

/// The mean over seeds, printed.
inline Outcome mean(const std::string& name, const std::vector<Outcome>& runs)
{
    Outcome all;
    const auto n = static_cast<double>(runs.size());
    for (const Outcome& run : runs) {
        all.accuracy += run.accuracy / n;
        all.nll += run.nll / n;
        all.ece += run.ece / n;
        all.memorised += run.memorised / n;
    }
    std::printf("%-34s accuracy %.3f  nll %.3f  ece %.3f  memorised %.2f\n", name.c_str(),
                all.accuracy, all.nll, all.ece, all.memorised);
    return all;
}

inline constexpr Index epochs = 60;
inline constexpr std::uint64_t seeds = 3;

/// Trains with `loss(batch, logits, into(gradient))`, for every seed: make(data) gives the loss.
template <class Make>
Outcome train(const std::string& name, const Make& make)
{
    std::vector<Outcome> runs;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const NoisyDigits data(digits(), seed);
        runs.push_back(demo::train_noisy(data, {.seed = seed, .epochs = epochs}, make(data)));
    }
    return mean(name, runs);
}

/// Plain cross-entropy, trained once whoever asks.
inline const Outcome& cross_entropy()
{
    static const Outcome outcome =
        train("cross-entropy", [](const NoisyDigits&) { return demo::plain_cross_entropy(); });
    return outcome;
}

} // namespace effect
