// SPDX-License-Identifier: BSL-1.0
#pragma once

// A row of a comparison: the same measurement without and with a technique, over several seeds, and
// whether what the technique's paper claims is to be seen in these numbers. Both arms of a seed share
// its split, first weights and batches, so that the change is measured seed by seed. The verdict is
// computed from what the row prints, and a claim that did not show is printed as such.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "support/stats.hpp"
#include "support/table.hpp"

namespace support {

enum class Better { higher, lower };

struct Row {
    std::string name;          // the technique
    std::string metric;        // what was measured
    std::string baseline_name; // what it is compared with
    Better better = Better::higher;
    bool percent = false; // print a share of 1 in percent
    std::string claim;    // what would have to be seen

    Summary baseline{};
    Summary with{};
    double change = 0.0;         // mean over seeds of with - baseline
    double standard_error = 0.0; // of that mean
    bool claim_shown = false;

    /// Fills in the numbers from one value for each seed. The claim is shown if `with` is better by
    /// more than two standard errors; one seed has no spread, and shows nothing.
    void measure(const std::vector<double>& baseline_runs, const std::vector<double>& with_runs)
    {
        baseline = summarize(baseline_runs);
        with = summarize(with_runs);
        std::vector<double> changes;
        for (std::size_t i = 0; i < with_runs.size(); ++i)
            changes.push_back(with_runs[i] - baseline_runs[i]);
        const Summary summary = summarize(changes);
        change = summary.mean;
        standard_error = summary.sd / std::sqrt(static_cast<double>(changes.size()));
        const double gain = better == Better::higher ? change : -change;
        claim_shown = changes.size() > 1 && gain > 2.0 * standard_error;
    }
};

/// A mean and its spread, or a change (with its sign) and its standard error, as "93.1 ± 0.9 %" or
/// "0.342 ± 0.051": percents with one decimal, other numbers with three digits of the mean.
inline std::string text(double mean, double spread, bool percent, bool with_sign = false)
{
    const double factor = percent ? 100.0 : 1.0;
    int decimals = 1;
    if (!percent && mean != 0.0)
        decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(mean)))), 0, 9);
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, with_sign ? "%+.*f ± %.*f%s" : "%.*f ± %.*f%s", decimals,
                  factor * mean, decimals, factor * spread, percent ? " %" : "");
    return buffer;
}
inline std::string text(const Summary& summary, bool percent)
{
    return text(summary.mean, summary.sd, percent);
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
                 {"change ± s.e.", Align::right},
                 {"shown"}});
    for (std::size_t r = 0; r < rows.size(); ++r) {
        const Row& row = rows[r];
        const bool again = r > 0 && rows[r - 1].name == row.name;
        if (!again)
            table.separate();
        table.add({{again ? "" : row.name, Style::bold},
                   metric_text(row),
                   text(row.baseline, row.percent),
                   text(row.with, row.percent),
                   text(row.change, row.standard_error, row.percent, true),
                   {row.claim_shown ? "yes" : "no", row.claim_shown ? Style::good : Style::poor}});
    }
    table.print(out);
}

} // namespace support
