// SPDX-License-Identifier: BSL-1.0
#pragma once

// A row of a comparison: the same measurement without and with a technique, over several seeds, and
// whether what the technique's paper claims is to be seen in these numbers. The verdict is computed
// from what the row prints, and a claim that did not show is printed as such.

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "support/stats.hpp"
#include "support/table.hpp"

namespace support {

enum class Better { higher, lower };

/// Standard error of a difference of two means over n seeds, from the spread of both.
inline double standard_error(const Summary& a, const Summary& b, int seeds)
{
    return std::sqrt((a.sd * a.sd + b.sd * b.sd) / static_cast<double>(seeds));
}

/// True if `with` is better by more than two standard errors of the difference. One seed has no
/// spread, and shows nothing.
inline bool clearly_better(const Summary& baseline, const Summary& with, int seeds, Better better)
{
    const double gain = (better == Better::higher ? 1.0 : -1.0) * (with.mean - baseline.mean);
    return seeds > 1 && gain > 2.0 * standard_error(baseline, with, seeds);
}

struct Row {
    std::string name;          // the technique
    std::string metric;        // what was measured
    std::string baseline_name; // what it is compared with
    Better better = Better::higher;
    bool percent = false; // print a share of 1 in percent
    int digits = 3;       // significant digits, where it is no share
    Summary baseline;
    Summary with;
    bool claim_shown = false;
    std::string claim; // what would have to be seen
};

/// "93.1 ± 0.9 %" or "0.34 ± 0.05": the spread decides how many decimals make sense.
inline std::string text(const Summary& summary, bool percent, int digits = 3)
{
    const double factor = percent ? 100.0 : 1.0;
    const double mean = factor * summary.mean;
    int decimals = 1;
    if (!percent && mean != 0.0)
        decimals = digits - 1 - static_cast<int>(std::floor(std::log10(std::abs(mean))));
    if (!percent)
        decimals = decimals < 0 ? 0 : decimals;
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.*f ± %.*f%s", decimals, mean, decimals,
                  factor * summary.sd, percent ? " %" : "");
    return buffer;
}

inline std::string metric_text(const Row& row)
{
    return row.metric + (row.better == Better::higher ? " ↑" : " ↓");
}

inline void print(const std::vector<Row>& rows, std::FILE* out)
{
    Table table({{"technique"},
                 {"metric"},
                 {"baseline", Align::right},
                 {"with", Align::right},
                 {"claim shown"}});
    for (std::size_t r = 0; r < rows.size(); ++r) {
        const Row& row = rows[r];
        const bool again = r > 0 && rows[r - 1].name == row.name;
        if (!again)
            table.separate();
        table.add({{again ? "" : row.name, Style::bold},
                   metric_text(row),
                   text(row.baseline, row.percent, row.digits),
                   text(row.with, row.percent, row.digits),
                   {row.claim_shown ? "yes" : "no", row.claim_shown ? Style::good : Style::poor}});
    }
    table.print(out);
}

} // namespace support
