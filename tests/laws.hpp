// SPDX-License-Identifier: BSL-1.0
#pragma once

// The laws of the catalogue. Each returns what it found wrong, so that the suite can run it over every
// entry, and a test of the laws over components that are wrong on purpose.

#include "catalog.hpp"

namespace test {

using Violations = std::vector<std::string>;

/// All laws but the fuzzer's.
[[nodiscard]] std::span<const Law> laws();

/// One law, for these inputs. Inputs that opted out of it are passed over.
[[nodiscard]] Violations check(Law law, const Entry& entry, const Inputs& inputs);

/// One law, at the sizes that it is worth testing at, over all variants of the inputs. Says nothing about
/// entries that opted out.
[[nodiscard]] Violations check(Law law, const Entry& entry);

/// Random sizes, layouts and modes; numbers of all scales, zeros, repeated rows: no NaN, modes agree,
/// nothing outside a destination is written, and no error leaves a trace.
[[nodiscard]] Violations fuzz(const Entry& entry, std::uint64_t seed);

/// One violation to a line.
[[nodiscard]] std::string text(const Violations& violations);

} // namespace test
