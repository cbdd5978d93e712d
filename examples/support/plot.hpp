// SPDX-License-Identifier: BSL-1.0
#pragma once

// Panels of curves, points and bars over two axes, in the look of svg.hpp. Each has its own title, and its
// legend stands below it.
//
//   svg({lines({.title = "value", .x = "logit"}, {{"plain", x, y}, {"robust", x, r, 2}}), ...})
//
// Coordinates are rounded to a tenth of a pixel, and ties away from where rounding errors would decide
// them: computed in double, a figure has the same bytes whatever instructions the values came from.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "support/matrix.hpp"
#include "support/svg.hpp"
#include "support/terminal.hpp"

namespace support {

inline constexpr double half_width = 352;  // of panels in pairs
inline constexpr double third_width = 236; // of panels in threes

enum class Mark { line, dashed, dots, bars };

struct Curve {
    std::string name{}; // no name: not in the legend
    std::vector<double> x{};
    std::vector<double> y{};
    int colour = 1;
    Mark mark = Mark::line;
};

struct Axes {
    std::string title{};
    std::string x{};
    std::string y{};
    plot::Range x_range{}; // empty: what the curves need
    plot::Range y_range{};
    bool bare = false; // no ticks and one scale for both axes, where only positions count
    double width = half_width;
};

namespace plot {

inline double tenth(double value) { return std::floor(10 * value + 0.5 + 1e-6) / 10; }

/// Names of the curves with their marks, in as many rows as `width` asks for. Grows `y`.
inline std::string key(const std::vector<Curve>& curves, double width, double& y)
{
    std::string out;
    double x = 0;
    for (const Curve& c : curves) {
        if (c.name.empty())
            continue;
        const double wide = 26 + 6.2 * static_cast<double>(text_width(c.name));
        if (x > 0 && x + wide > width) {
            x = 0;
            y += 17;
        }
        const std::string stroke =
            "line s" + std::to_string(c.colour) + (c.mark == Mark::dashed ? " dashed" : "");
        out += c.mark == Mark::dots   ? circle(x + 9, y - 4, 3, c.colour)
               : c.mark == Mark::bars ? box(x + 4, y - 9, 10, 10, fill(c.colour))
                                      : line(x, y - 4, x + 19, y - 4, stroke);
        out += label(x + 25, y, "start", "small", c.name);
        x += wide + 12;
    }
    return out;
}

/// A curve as lines that end where it leaves the axes.
inline std::string path(const Curve& c, const Axis& x, const Axis& y)
{
    const double slack = 1e-9 * (y.high - y.low); // a rounding error is no reason to end
    const auto inside = [&](std::size_t i) {
        return c.y[i] >= y.low - slack && c.y[i] <= y.high + slack;
    };
    const std::string classes =
        "\" class=\"line s" + std::to_string(c.colour) + (c.mark == Mark::dashed ? " dashed" : "");
    std::string out, points;
    const auto to = [&](double px, double py) {
        points += at(tenth(x(px))) + "," + at(tenth(y(py))) + " ";
    };
    const auto edge = [&](std::size_t i) { // between points i - 1 and i
        const double limit = (std::max)(c.y[i - 1], c.y[i]) > y.high ? y.high : y.low;
        const double share = (limit - c.y[i - 1]) / (c.y[i] - c.y[i - 1]);
        to(c.x[i - 1] + share * (c.x[i] - c.x[i - 1]), limit);
    };
    for (std::size_t i = 0; i < c.x.size(); ++i) {
        if (i > 0 && inside(i) != inside(i - 1))
            edge(i);
        if (inside(i))
            to(c.x[i], c.y[i]);
        if ((!inside(i) || i + 1 == c.x.size()) && !points.empty()) {
            out += "<polyline points=\"" + points + classes + "\"/>\n";
            points.clear();
        }
    }
    return out;
}

} // namespace plot

inline Panel lines(const Axes& axes, const std::vector<Curve>& curves)
{
    const double left = axes.bare ? 4 : 46, right = 10, top = axes.bare ? 30 : 44, floor = 206;
    plot::Range xs = axes.x_range, ys = axes.y_range;
    for (const Curve& c : curves) {
        for (std::size_t i = 0; axes.x_range.empty() && i < c.x.size(); ++i)
            xs.see(c.x[i]);
        for (std::size_t i = 0; axes.y_range.empty() && i < c.y.size(); ++i)
            ys.see(c.y[i]);
        if (c.mark == Mark::bars && axes.y_range.empty())
            ys.see(0);
    }
    plot::Axis x{xs.low, xs.high, left, axes.width - right, false};
    plot::Axis y{ys.low, ys.high, floor, top, false};
    if (axes.bare)
        x.to = x.from + (y.from - y.to) * (x.high - x.low) / (y.high - y.low);
    else if (axes.y_range.empty())
        y.round_out();

    std::string out = plot::label(0, 14, "start", "title", axes.title);
    out += plot::label(0, 32, "start", "muted small", axes.y);
    if (!axes.bare) {
        for (const double tick : y.ticks()) {
            out += plot::line(left, plot::tenth(y(tick)), axes.width - right, plot::tenth(y(tick)),
                              std::abs(tick) < 1e-9 ? "axis" : "grid");
            out += plot::label(left - 8, plot::tenth(y(tick)) + 4, "end", "muted small",
                               plot::number(tick));
        }
        for (const double tick : x.ticks())
            out +=
                plot::line(plot::tenth(x(tick)), floor, plot::tenth(x(tick)), floor + 4, "axis") +
                plot::label(plot::tenth(x(tick)), floor + 17, "middle", "muted small",
                            plot::number(tick));
        out += plot::line(left, floor, axes.width - right, floor, "axis");
        out += plot::label((left + axes.width - right) / 2, floor + 34, "middle", "muted small",
                           axes.x);
    }
    for (const Curve& c : curves) {
        if (c.mark == Mark::line || c.mark == Mark::dashed) {
            out += plot::path(c, x, y);
            continue;
        }
        const double wide = 0.7 * (x(1) - x(0));
        for (std::size_t i = 0; i < c.x.size(); ++i) {
            const double px = plot::tenth(x(c.x[i])), py = plot::tenth(y(c.y[i]));
            const double zero = plot::tenth(y((std::max)(0.0, y.low)));
            out +=
                c.mark == Mark::dots
                    ? plot::circle(px, py, 2.6, c.colour)
                    : plot::box(plot::tenth(px - wide / 2), (std::min)(py, zero), plot::tenth(wide),
                                (std::max)(0.5, std::abs(py - zero)), plot::fill(c.colour));
        }
    }
    double under = floor + (axes.bare ? 24 : 56);
    out += plot::key(curves, axes.width, under);
    return {axes.width, under + 4, out};
}

} // namespace support
