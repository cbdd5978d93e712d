// SPDX-License-Identifier: BSL-1.0
#pragma once

// What main does in every example.

#include <cstdio>
#include <exception>

namespace support {

/// run(argc, argv), whose exceptions become a line on stderr and an exit code of 1.
inline int program(const char* name, int (*run)(int, char**), int argc, char** argv)
{
    try {
        return run(argc, argv);
    }
    catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return 1;
    }
}

} // namespace support
