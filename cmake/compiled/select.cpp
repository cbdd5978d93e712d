// SPDX-License-Identifier: BSL-1.0
// What the library of kernels adds to them: before main it looks at the processor and points every kernel
// to the best level that runs on it. Compiled for the lowest level; calls nothing of temper.
//
//   TEMPER_LEVEL=x86-64   in the environment: at most this level (for comparisons and tests)

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

/// The kernels of one source: `slots` is what calls jump through, `levels` one list of functions per level.
/// Written by levels.py into a section of its own, which the linker gathers.
struct Table {
    void** slots;
    void* const* levels;
    std::size_t kernels;
};

struct Level {
    const char* name;
    bool runs;
};

thread_local void* workspace = nullptr;
const char* level_name = "";

} // namespace

extern "C" {

extern const Table __start_temper_kernels[];
extern const Table __stop_temper_kernels[];

/// Name of the level that runs.
const char* temper_level() { return level_name; }

void* temper_chosen_workspace() { return workspace; }
void temper_choose_workspace(void* chosen) { workspace = chosen; }
}

namespace {

[[gnu::constructor(101)]] void choose_level()
{
    __builtin_cpu_init();
    [[maybe_unused]] const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                                     __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    [[maybe_unused]] const bool v4 =
        v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl");
    const Level levels[] = {TEMPER_LEVELS};
    const std::size_t count = sizeof(levels) / sizeof(levels[0]);
    const char* highest = std::getenv("TEMPER_LEVEL");
    std::size_t best = 0;
    bool known = highest == nullptr;
    for (std::size_t i = 0; i < count; ++i) {
        if (levels[i].runs)
            best = i;
        if (highest != nullptr && std::strcmp(levels[i].name, highest) == 0) {
            known = true;
            break;
        }
    }
    if (!known)
        std::fprintf(stderr, "temper: TEMPER_LEVEL is %s, which this library has not\n", highest);
    level_name = levels[best].name;
    for (const Table* table = __start_temper_kernels; table != __stop_temper_kernels; ++table)
        for (std::size_t k = 0; k < table->kernels; ++k)
            table->slots[k] = table->levels[best * table->kernels + k];
}

} // namespace
