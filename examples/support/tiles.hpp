// SPDX-License-Identifier: BSL-1.0
#pragma once

// A panel with a map of numbers, to stand beside those of plot.hpp.

#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "support/plot.hpp"

namespace support {

struct TileNames {
    std::string title{};
    std::string x{};
    std::string y{};
    std::vector<std::string> rows{};
    std::vector<std::string> columns{};
    double width = half_width;
    double height = 26; // of a tile
};

/// Numbers in [-1, 1]: the larger the darker, blue above 0 and orange below. NaN leaves a gap.
inline Panel tiles(const TileNames& names, const Matrix<double>& values)
{
    double left = 0;
    for (const std::string& row : names.rows)
        left = (std::max)(left, 10 + 6.2 * static_cast<double>(text_width(row)));
    const double top = 44, wide = (names.width - left) / static_cast<double>(values.cols());
    const double bottom = top + names.height * static_cast<double>(values.rows());
    const std::string shape = "h" + plot::at(plot::tenth(wide) - 1) + "v" +
                              plot::at(names.height - 1) + "h-" + plot::at(plot::tenth(wide) - 1) +
                              "z";
    std::map<long, std::string> inks; // by per cents
    std::string all;
    for (Index i = 0; i < values.rows(); ++i)
        for (Index j = 0; j < values.cols(); ++j) {
            if (std::isnan(values(i, j)))
                continue;
            const std::string tile =
                "M" + plot::at(plot::tenth(left + wide * static_cast<double>(j))) + " " +
                plot::at(top + names.height * static_cast<double>(i)) + shape;
            all += tile;
            inks[std::lround(10 * plot::tenth(10 * values(i, j)))] += tile;
        }
    std::string out = plot::label(0, 14, "start", "title", names.title);
    out += plot::label(0, 32, "start", "muted small", names.y);
    out += "<path d=\"" + all + "\" class=\"cell\"/>\n";
    for (const auto& [ink, path] : inks)
        if (ink != 0)
            out += "<path d=\"" + path + "\" class=\"" + plot::fill(ink > 0 ? 1 : 2) +
                   "\" fill-opacity=\"" + plot::at(0.01 * static_cast<double>(std::abs(ink))) +
                   "\"/>\n";
    for (std::size_t i = 0; i < names.rows.size(); ++i)
        out += plot::label(0, top + names.height * (static_cast<double>(i) + 0.5) + 4, "start",
                           "muted small", names.rows[i]);
    for (std::size_t j = 0; j < names.columns.size(); ++j)
        out += plot::label(plot::tenth(left + wide * (static_cast<double>(j) + 0.5)), bottom + 14,
                           "middle", "muted small", names.columns[j]);
    const double under = bottom + (names.columns.empty() ? 18 : 34);
    out +=
        plot::label(plot::tenth((left + names.width) / 2), under, "middle", "muted small", names.x);
    return {names.width, under + 4, out};
}

} // namespace support
