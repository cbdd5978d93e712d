// SPDX-License-Identifier: BSL-1.0
#pragma once

// One line on stderr that says how far a program is, what it does, and how long it still takes. It
// is silent where stderr is not a terminal, and may be advanced from several threads.
//
//   Progress progress(100.0);
//   progress.now("mixup");
//   progress.advance(12.5);

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include "support/terminal.hpp"

namespace support {

class Progress {
  public:
    /// The amount of work that will be done, in any unit.
    explicit Progress(double total)
        : total_(total), visible_(is_terminal(stderr)), begin_(Clock::now())
    {
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() { clear(); }

    /// What is running.
    void now(std::string_view what)
    {
        const std::lock_guard lock(mutex_);
        what_ = what;
        draw();
    }

    void advance(double amount)
    {
        const std::lock_guard lock(mutex_);
        done_ = (std::min)(total_, done_ + amount);
        if (Clock::now() - drawn_ > std::chrono::milliseconds(80))
            draw();
    }

    /// Takes the line away, before something else is printed.
    void clear()
    {
        const std::lock_guard lock(mutex_);
        if (visible_ && drawn_ != Clock::time_point{})
            std::fputs("\r\x1b[2K", stderr);
    }

    [[nodiscard]] double seconds() const
    {
        return std::chrono::duration<double>(Clock::now() - begin_).count();
    }

  private:
    using Clock = std::chrono::steady_clock;

    void draw()
    {
        if (!visible_)
            return;
        drawn_ = Clock::now();
        const double share = total_ > 0.0 ? done_ / total_ : 1.0;
        std::string text = bar(share);
        char number[16];
        std::snprintf(number, sizeof number, " %3.0f %%  ", 100.0 * share);
        text += number;
        if (share > 0.03) {
            const double left = seconds() * (1.0 - share) / share;
            std::snprintf(number, sizeof number, "%3.0f s left  ", std::ceil(left));
            text += number;
        }
        text += what_;
        const std::string line = shortened(text, terminal_width(stderr) - 1);
        std::fprintf(stderr, "\r\x1b[2K%s", line.c_str());
        std::fflush(stderr);
    }

    /// Twenty-four cells that fill up in eighths.
    static std::string bar(double share)
    {
        static constexpr const char* eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        constexpr int cells = 24;
        const int filled = static_cast<int>(std::lround(share * cells * 8));
        std::string text = "▕";
        for (int cell = 0; cell < cells; ++cell) {
            const int here = std::clamp(filled - 8 * cell, 0, 8);
            text += here == 8 ? "█" : eighths[here];
        }
        return text + "▏";
    }

    double total_;
    double done_ = 0.0;
    bool visible_;
    Clock::time_point begin_;
    Clock::time_point drawn_{};
    std::string what_;
    std::mutex mutex_;
};

} // namespace support
