// SPDX-License-Identifier: BSL-1.0
#pragma once

// An observer that shows how far a run is, on one line of a terminal:
//
//   Progress progress(20000, state.step);       steps in all, and the first one that this process will do
//   progress(step, report);                     ████████████▌            51 %  10240 of 20000  3:12 left  loss 0.0312
//
// What was done before a run was resumed fills the bar but does not count for the time that is left. Silent
// where stderr is no terminal. Drawn ten times a second at most. RangeError: steps in all < 1, a first step
// outside of them.

#include <temper/core/compose.hpp>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#if __has_include(<unistd.h>)
#include <unistd.h>
#elif __has_include(<io.h>)
#include <io.h>
#endif

namespace temper::inline TEMPER_ABI {

class Progress {
  public:
    explicit Progress(Index steps, Index first_step = 0)
        : steps_(steps), first_(first_step), begin_(Clock::now()), visible_(is_terminal())
    {
        require(steps >= 1, "Progress", "steps", static_cast<double>(steps), "at least 1");
        require(first_step >= 0 && first_step <= steps, "Progress", "first_step",
                static_cast<double>(first_step), "one of the steps");
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() { clear(); }

    void operator()(Index step, const Report& report)
    {
        const auto now = Clock::now();
        if (!visible_ || (now - drawn_ < std::chrono::milliseconds(100) && step + 1 < steps_))
            return;
        drawn_ = now;
        const std::string text =
            line(step + 1, std::chrono::duration<double>(now - begin_).count(), report);
        std::fprintf(stderr, "\r\x1b[2K%s", text.c_str());
        std::fflush(stderr);
    }
    /// Takes the line away, before something else is printed.
    void clear()
    {
        if (visible_ && drawn_ != Clock::time_point{})
            std::fputs("\r\x1b[2K", stderr);
    }
    /// What is shown when `done` steps are done, `seconds` after this process began.
    [[nodiscard]] std::string line(Index done, double seconds, const Report& report) const
    {
        const double share = static_cast<double>(done) / static_cast<double>(steps_);
        std::string out = bar(share);
        char part[64];
        std::snprintf(part, sizeof part, " %3.0f %%  %td of %td", std::floor(100 * share), done,
                      steps_);
        out += part;
        if (done > first_) {
            const double left = std::ceil(seconds * static_cast<double>(steps_ - done) /
                                          static_cast<double>(done - first_));
            std::snprintf(part, sizeof part, "  %.0f:%02.0f left", std::floor(left / 60),
                          std::fmod(left, 60));
            out += part;
        }
        for (const auto& [name, value] : report) {
            std::snprintf(part, sizeof part, " %.4g", value);
            out.append("  ").append(name).append(part);
        }
        return out;
    }

  private:
    using Clock = std::chrono::steady_clock;

    /// Twenty-four cells that fill up in eighths.
    static std::string bar(double share)
    {
        static constexpr const char* eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
        constexpr int cells = 24;
        const int filled = static_cast<int>(std::lround(share * cells * 8));
        std::string text;
        for (int cell = 0; cell < cells; ++cell) {
            const int here = filled - 8 * cell;
            text += eighths[here < 0 ? 0 : here > 8 ? 8 : here];
        }
        return text;
    }
    static bool is_terminal()
    {
#if __has_include(<unistd.h>)
        return isatty(fileno(stderr)) != 0;
#elif __has_include(<io.h>)
        return _isatty(_fileno(stderr)) != 0;
#else
        return false;
#endif
    }

    Index steps_;
    Index first_;
    Clock::time_point begin_;
    Clock::time_point drawn_{};
    bool visible_;
};

} // namespace temper::inline TEMPER_ABI
