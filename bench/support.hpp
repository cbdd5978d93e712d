// SPDX-License-Identifier: BSL-1.0
#pragma once

// A benchmark is called <component>/<implementation>/<f32|f64>/<shape>; all implementations of a
// component get the same numbers and the same number of threads.
//
//   temper    this library
//   eigen     what a user of Eigen writes by hand
//   xtensor   what a user of xtensor writes by hand (no matrix products: xtensor itself has none)
//   torch     libtorch, forward and backward
//   torch_function   temper as a function of libtorch's graph, forward and backward
//
// The component `limit` is the machine itself (limits.cpp): what the work of the others is measured by.

#include <temper/core/random.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <type_traits>
#include <vector>

namespace bench {

using temper::Index;

/// n normal numbers, the same for the same seed.
template <class T>
[[nodiscard]] std::vector<T> numbers(Index n, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "bench");
    std::vector<T> out(static_cast<std::size_t>(n));
    for (T& x : out)
        x = static_cast<T>(temper::normal(rng));
    return out;
}

/// n class indices below k.
[[nodiscard]] inline std::vector<std::int64_t> classes(Index n, Index k, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "bench classes");
    std::vector<std::int64_t> out(static_cast<std::size_t>(n));
    for (auto& y : out)
        y = temper::uniform_index(rng, k);
    return out;
}

[[nodiscard]] inline std::string shape(Index n, Index d)
{
    return std::to_string(n) + "x" + std::to_string(d);
}

/// What no implementation of a step can do without. From this and the limits of the machine follows the
/// time that a step cannot be faster than.
struct Work {
    Index entries = 0; ///< numbers that cross memory: every input read, every output written, once
    Index flops =
        0; ///< operations of matrix products: 2 n m k, half of it where the result is symmetric
    Index exps = 0; ///< exponentials
};

/// `make()` gives a step, a callable that does the work once; it is made when the benchmark runs.
template <class T, class Make>
void add(const std::string& component, const std::string& implementation, const std::string& shape,
         const Work& work, const Make& make)
{
    const std::string type = std::is_same_v<T, float> ? "f32" : "f64";
    const std::string name = component + "/" + implementation + "/" + type + "/" + shape;
    benchmark::RegisterBenchmark(name.c_str(), [make, work](benchmark::State& state) {
        auto step = make();
        step(); // scratch is taken, threads are awake
        for ([[maybe_unused]] auto _ : state) {
            step();
            benchmark::ClobberMemory();
        }
        state.counters["bytes"] = static_cast<double>(work.entries) * sizeof(T);
        state.counters["flops"] = static_cast<double>(work.flops);
        state.counters["exps"] = static_cast<double>(work.exps);
    })->UseRealTime();
}
template <class T, class Make>
void add(const std::string& component, const std::string& implementation, const std::string& shape,
         const Make& make)
{
    add<T>(component, implementation, shape, Work{}, make);
}

} // namespace bench
