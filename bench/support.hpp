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

/// `make()` gives a step, a callable that does the work once; it is made when the benchmark runs.
template <class T, class Make>
void add(const std::string& component, const std::string& implementation, const std::string& shape,
         const Make& make)
{
    const std::string type = std::is_same_v<T, float> ? "f32" : "f64";
    const std::string name = component + "/" + implementation + "/" + type + "/" + shape;
    benchmark::RegisterBenchmark(name.c_str(), [make](benchmark::State& state) {
        auto step = make();
        step(); // scratch is taken, threads are awake
        for ([[maybe_unused]] auto _ : state) {
            step();
            benchmark::ClobberMemory();
        }
    })->UseRealTime();
}

} // namespace bench
