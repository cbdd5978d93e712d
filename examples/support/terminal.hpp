// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a stream is connected to, and how wide a text is on a terminal.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#ifdef _WIN32
#include <io.h>
#else
#include <sys/ioctl.h>
#include <unistd.h>
#endif

namespace support {

/// False for files, pipes and logs.
inline bool is_terminal(std::FILE* stream)
{
#ifdef _WIN32
    return _isatty(_fileno(stream)) != 0;
#else
    return isatty(fileno(stream)) != 0;
#endif
}

/// Columns of the terminal behind a stream; 80 where nobody says.
inline std::size_t terminal_width(std::FILE* stream)
{
#ifndef _WIN32
    winsize size{};
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
#endif
    (void)stream;
    return 80;
}

/// Columns that UTF-8 text fills, one per code point: right for everything that we print.
inline std::size_t text_width(std::string_view text)
{
    std::size_t width = 0;
    for (const char c : text)
        width += (static_cast<unsigned char>(c) & 0xc0u) != 0x80u ? 1 : 0;
    return width;
}

/// The first `width` columns of UTF-8 text.
inline std::string shortened(std::string_view text, std::size_t width)
{
    std::size_t at = 0;
    for (std::size_t seen = 0; at < text.size(); ++at) {
        const bool starts = (static_cast<unsigned char>(text[at]) & 0xc0u) != 0x80u;
        if (starts && seen++ == width)
            break;
    }
    return std::string(text.substr(0, at));
}

enum class Style { plain, bold, faint, good, poor };

/// Text with an ANSI style, or as it is where colour is not wanted (not a terminal, NO_COLOR set).
inline std::string styled(std::string_view text, Style style, bool colour)
{
    static constexpr const char* codes[] = {"", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m"};
    if (!colour || style == Style::plain)
        return std::string(text);
    return std::string(codes[static_cast<int>(style)]).append(text).append("\x1b[0m");
}

inline bool wants_colour(std::FILE* stream)
{
    return is_terminal(stream) && std::getenv("NO_COLOR") == nullptr;
}

} // namespace support
