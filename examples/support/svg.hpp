// SPDX-License-Identifier: BSL-1.0
#pragma once

// Plots as SVG text: line charts with bands, reliability diagrams, bar charts with error bars, grids
// of small images. Colours are CSS classes (svg_style), light or dark as the reader's system is, and
// chosen to stay apart for colour-blind readers; the baseline is always the grey, dashed one.
//
//   std::string picture = svg(LineChart{.x_label = "epoch", .y_label = "accuracy", .series = {...}});
//   write_svg("curves.svg", picture);

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/stats.hpp"
#include "support/terminal.hpp"

namespace support {

/// Classes s0 .. s4 are strokes and f0 .. f4 fills of the series' colours; 0 is the baseline's.
inline constexpr std::string_view svg_style = R"(
.plot text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.plot .title{font-size:13px;font-weight:600}
.plot .small{font-size:11px}
.plot text{fill:#1b2430}.plot .muted{fill:#5b6673}
.plot .surface{fill:#ffffff}
.plot .grid{stroke:#e4e8ed;stroke-width:1}.plot .axis{stroke:#a9b3bf;stroke-width:1}
.plot .ink{fill:#1b2430}.plot .cell{fill:#f1f4f7}
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.plot .error{fill:none;stroke:#1b2430;stroke-width:1.5}
.plot .band{stroke:none;fill-opacity:.16}.plot .gap{fill-opacity:.4}.plot .dashed{stroke-dasharray:6 4}
.plot .s0{stroke:#6f7b8a}.plot .f0{fill:#6f7b8a}.plot .s1{stroke:#1f66d0}.plot .f1{fill:#1f66d0}
.plot .s2{stroke:#c85a00}.plot .f2{fill:#c85a00}.plot .s3{stroke:#0b7f63}.plot .f3{fill:#0b7f63}
.plot .s4{stroke:#7d4ed1}.plot .f4{fill:#7d4ed1}
@media (prefers-color-scheme:dark){
.plot text{fill:#e6ebf1}.plot .muted{fill:#9ba7b4}
.plot .surface{fill:#161b22}
.plot .grid{stroke:#2a313a}.plot .axis{stroke:#55606c}
.plot .ink{fill:#e6ebf1}.plot .cell{fill:#1e252e}
.plot .error{stroke:#e6ebf1}
.plot .s0{stroke:#98a4b3}.plot .f0{fill:#98a4b3}.plot .s1{stroke:#6ea8fe}.plot .f1{fill:#6ea8fe}
.plot .s2{stroke:#f2a15f}.plot .f2{fill:#f2a15f}.plot .s3{stroke:#4cc3a0}.plot .f3{fill:#4cc3a0}
.plot .s4{stroke:#b794f6}.plot .f4{fill:#b794f6}}
)";

/// A curve, with the band low .. high where the two are given.
struct Series {
    std::string name;
    std::vector<double> x;
    std::vector<double> y;
    std::vector<double> low;
    std::vector<double> high;
    int colour = 1;
    bool dashed = false;
    bool markers = false;
};

struct LineChart {
    std::string title;
    std::string x_label;
    std::string y_label;
    bool log_y = false;
    bool percent = false;             // y is a share of 1
    std::vector<std::string> x_names; // named positions 0, 1, 2 ... instead of a scale
    std::vector<Series> series;
};

/// Charts side by side under one legend, which names the series of the first.
struct LineCharts {
    std::vector<LineChart> charts;
    std::size_t columns = 2;
    bool same_y = false; // one y axis for all
};

struct ReliabilityDiagram {
    std::string title;
    std::vector<ReliabilityBin> bins;
    int colour = 1;
};

struct Bar {
    std::string name;
    Summary value;
    int colour = 1;
};
struct BarChart {
    std::string x_label;
    bool percent = false;
    bool dots = false; // dots on an axis that need not begin at 0, instead of bars
    std::vector<Bar> bars;
};

/// Rows of small grey images with values in [0, 1], each with a caption.
struct ImageGrid {
    struct Image {
        Matrix<float> pixels; // [height, width]
        std::string caption;
    };
    struct ImageRow {
        std::string name;
        std::vector<Image> images;
    };
    std::vector<ImageRow> rows;
};

/// Text with the five characters that mean something to XML written as entities.
inline std::string escaped(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        case '\'':
            out += "&#39;";
            break;
        default:
            out += c;
        }
    }
    return out;
}

namespace plot {

/// A number as short as it can be said: 0.05, 12, 1e+06.
inline std::string number(double value)
{
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.6g", std::abs(value) < 1e-12 ? 0.0 : value);
    return buffer;
}

/// A coordinate, to a hundredth of a pixel.
inline std::string at(double value)
{
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.2f", value);
    std::string text = buffer;
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.')
        text.pop_back();
    return text == "-0" ? "0" : text;
}

/// "f2": the class of a series' fill.
inline std::string fill(int colour) { return std::string("f").append(std::to_string(colour)); }

inline std::string label(double x, double y, std::string_view anchor, std::string_view classes,
                         std::string_view text)
{
    return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + std::string(anchor) +
           "\" class=\"" + std::string(classes) + "\">" + escaped(text) + "</text>\n";
}

inline std::string line(double x1, double y1, double x2, double y2, std::string_view classes)
{
    return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" +
           at(y2) + "\" class=\"" + std::string(classes) + "\"/>\n";
}

inline std::string box(double x, double y, double width, double height, std::string_view classes,
                       double radius = 0.0)
{
    return "<rect x=\"" + at(x) + "\" y=\"" + at(y) + "\" width=\"" + at(width) + "\" height=\"" +
           at(height) + "\" rx=\"" + at(radius) + "\" class=\"" + std::string(classes) + "\"/>\n";
}

inline std::string circle(double x, double y, double radius, int colour)
{
    return "<circle cx=\"" + at(x) + "\" cy=\"" + at(y) + "\" r=\"" + at(radius) + "\" class=\"" +
           fill(colour) + "\"/>\n";
}

/// One axis: where a value stands between two pixels, and which values get a tick.
struct Axis {
    double low = 0.0;
    double high = 1.0;
    double from = 0.0;
    double to = 1.0;
    bool log = false;

    [[nodiscard]] double operator()(double value) const
    {
        const double a = log ? std::log10(low) : low;
        const double b = log ? std::log10(high) : high;
        const double v = log ? std::log10((std::max)(value, low)) : value;
        return from + (to - from) * (v - a) / (b - a);
    }
    [[nodiscard]] double step() const
    {
        const double raw = (high - low) / 5.0;
        const double power = std::pow(10.0, std::floor(std::log10(raw)));
        for (const double nice : {1.0, 2.0, 2.5, 5.0})
            if (raw <= nice * power * 1.0001)
                return nice * power;
        return 10.0 * power;
    }
    [[nodiscard]] std::vector<double> ticks() const
    {
        std::vector<double> values;
        if (log) {
            const int first = static_cast<int>(std::ceil(std::log10(low) - 1e-9));
            const int last = static_cast<int>(std::floor(std::log10(high) + 1e-9));
            for (int decade = first; decade <= last; decade += 1 + (last - first) / 6)
                values.push_back(std::pow(10.0, decade));
            return values;
        }
        const double gap = step();
        for (double value = std::ceil(low / gap - 1e-9) * gap; value <= high + 1e-9 * gap;
             value += gap)
            values.push_back(value);
        return values;
    }
    /// Widened so that both ends are ticks.
    void round_out()
    {
        if (!(high > low)) {
            const double room = low == 0.0 ? 1.0 : 0.1 * std::abs(low);
            low -= log ? 0.5 * low : room;
            high += log ? high : room;
        }
        if (log) {
            low = std::pow(10.0, std::floor(std::log10(low) + 1e-9));
            high = std::pow(10.0, std::ceil(std::log10(high) - 1e-9));
            return;
        }
        const double gap = step();
        low = std::floor(low / gap + 1e-9) * gap;
        high = std::ceil(high / gap - 1e-9) * gap;
    }
};

inline std::string document(double width, double height, std::string_view body)
{
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 " + at(width) +
           " " + at(height) + "\" width=\"" + at(width) + "\" height=\"" + at(height) +
           "\" role=\"img\">\n" + std::string(body) + "</svg>\n";
}

/// Swatch and name of every series, in one row that starts at (x, y).
inline std::string legend(const std::vector<Series>& series, double x, double y)
{
    std::string out;
    for (const Series& s : series) {
        const std::string colour = std::to_string(s.colour);
        out += line(x, y - 4, x + 22, y - 4, "line s" + colour + (s.dashed ? " dashed" : ""));
        if (s.markers)
            out += circle(x + 11, y - 4, 3, s.colour);
        out += label(x + 28, y, "start", "", s.name);
        x += 28.0 + 6.6 * static_cast<double>(text_width(s.name)) + 22.0;
    }
    return out;
}

/// Smallest and largest value to be seen on an axis.
struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void see(double value)
    {
        if (!std::isfinite(value))
            return;
        low = (std::min)(low, value);
        high = (std::max)(high, value);
    }
    [[nodiscard]] bool empty() const { return !(low <= high); }
};

/// Of the curves and their bands. A band does not stretch the axis below 0 where no curve goes there,
/// nor a logarithmic axis at all.
inline Range y_range(const LineChart& c)
{
    Range curves;
    Range bands;
    for (const Series& s : c.series) {
        for (const double value : s.y)
            if (!c.log_y || value > 0.0)
                curves.see(value);
        for (const std::vector<double>* values : {&s.low, &s.high})
            for (const double value : *values)
                bands.see(value);
    }
    if (curves.empty() || bands.empty() || c.log_y)
        return curves;
    if (curves.low >= 0.0)
        bands.low = (std::max)(0.0, bands.low);
    return {(std::min)(curves.low, bands.low), (std::max)(curves.high, bands.high)};
}

/// A chart without its legend in a box of that size.
inline std::string chart(const LineChart& c, const Range& range, double width, double height)
{
    const double head = c.title.empty() ? 0 : 18;
    const double left = 52, right = 14, top = head + (c.y_label.empty() ? 12 : 26), bottom = 42;
    const bool named = !c.x_names.empty();
    Range seen;
    for (const Series& s : c.series)
        for (const double value : s.x)
            seen.see(value);
    if (seen.empty() || range.empty())
        return {};
    Axis x{seen.low, seen.high, left, width - right, false};
    Axis y{range.low, range.high, height - bottom, top, c.log_y};
    if (named) {
        x.low = -0.35;
        x.high = static_cast<double>(c.x_names.size()) - 0.65;
    }
    else if (x.low == x.high) {
        x.high = x.low + 1.0;
    }
    y.round_out();

    std::string out;
    if (!c.title.empty())
        out += label(0, 14, "start", "title", c.title);
    if (!c.y_label.empty())
        out += label(0, top - 12, "start", "muted small", c.y_label);
    for (const double tick : y.ticks()) {
        out += line(left, y(tick), width - right, y(tick), "grid");
        out += label(left - 8, y(tick) + 4, "end", "muted small",
                     c.percent ? number(100.0 * tick) + " %" : number(tick));
    }
    out += line(left, height - bottom, width - right, height - bottom, "axis");
    const auto x_tick = [&](double value, const std::string& name) {
        out += line(x(value), height - bottom, x(value), height - bottom + 4, "axis");
        out += label(x(value), height - bottom + 17, "middle", "muted small", name);
    };
    if (named) {
        for (std::size_t i = 0; i < c.x_names.size(); ++i)
            x_tick(static_cast<double>(i), c.x_names[i]);
    }
    else {
        for (const double tick : x.ticks())
            x_tick(tick, number(tick));
    }
    out += label((left + width - right) / 2, height - 6, "middle", "muted small", c.x_label);

    // Bands first, so that no curve is veiled by another one's band.
    for (const Series& s : c.series) {
        if (s.low.size() != s.x.size() || s.high.size() != s.x.size())
            continue;
        std::string points;
        for (std::size_t i = 0; i < s.x.size(); ++i)
            points += at(x(s.x[i])) + "," + at(y(std::clamp(s.high[i], y.low, y.high))) + " ";
        for (std::size_t i = s.x.size(); i-- > 0;)
            points += at(x(s.x[i])) + "," + at(y(std::clamp(s.low[i], y.low, y.high))) + " ";
        out += "<polygon points=\"" + points + "\" class=\"band f" + std::to_string(s.colour) +
               "\"/>\n";
    }
    for (const Series& s : c.series) {
        std::string points;
        for (std::size_t i = 0; i < s.x.size(); ++i)
            if (std::isfinite(s.y[i]))
                points += at(x(s.x[i])) + "," + at(y(s.y[i])) + " ";
        out += "<polyline points=\"" + points + "\" class=\"line s" + std::to_string(s.colour) +
               (s.dashed ? " dashed" : "") + "\"/>\n";
        for (std::size_t i = 0; s.markers && i < s.x.size(); ++i)
            out += circle(x(s.x[i]), y(s.y[i]), 3.2, s.colour);
    }
    return out;
}

inline std::string moved(double x, double y, std::string_view body)
{
    return "<g transform=\"translate(" + at(x) + " " + at(y) + ")\">\n" + std::string(body) +
           "</g>\n";
}

/// Values in [0, 1] as squares of ink in 16 levels, `side` wide and high. Neighbours of one level in a row
/// are one piece, in units of a square: small files.
inline std::string pixels(const Matrix<float>& values, double side)
{
    constexpr int levels = 16;
    std::string pieces[levels + 1];
    for (Index i = 0; i < values.rows(); ++i)
        for (Index j = 0, end = 0; j < values.cols(); j = end) {
            const auto level = [&](Index at) { return std::lround(values(i, at) * levels); };
            for (end = j + 1; end < values.cols() && level(end) == level(j);)
                ++end;
            const std::string run = std::to_string(end - j);
            pieces[std::clamp(level(j), 0L, static_cast<long>(levels))]
                .append("M")
                .append(std::to_string(j))
                .append(" ")
                .append(std::to_string(i))
                .append("h")
                .append(run)
                .append("v1h-")
                .append(run)
                .append("z");
        }
    std::string out = box(-1, -1, side + 2, side + 2, "cell", 3);
    out += "<g transform=\"scale(" + at(side / static_cast<double>(values.cols())) + " " +
           at(side / static_cast<double>(values.rows())) +
           ")\" class=\"ink\" shape-rendering=\"crispEdges\">\n";
    for (int level = 1; level <= levels; ++level)
        if (!pieces[level].empty())
            out += "<path d=\"" + pieces[level] + "\" fill-opacity=\"" +
                   at(static_cast<double>(level) / levels) + "\"/>\n";
    return out + "</g>\n";
}

/// Accuracy over confidence, the gap between them, and how often each confidence occurs.
inline std::string reliability(const ReliabilityDiagram& d, double width, double height)
{
    const double left = 46, right = 10, top = 44, bottom = 42, counts = 44;
    constexpr double fewest = 1e-3; // a bin of fewer predictions than that has no accuracy to show
    const Axis x{0, 1, left, width - right, false};
    const Axis y{0, 1, height - bottom - counts - 12, top, false};
    std::string out = label(0, 14, "start", "title", d.title);
    char ece[64];
    std::snprintf(ece, sizeof ece, "expected calibration error %.1f %%",
                  100.0 * expected_calibration_error(d.bins));
    out += label(0, 31, "start", "muted small", ece);
    for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0}) {
        out += line(left, y(tick), width - right, y(tick), "grid");
        out += label(left - 7, y(tick) + 4, "end", "muted small", number(100 * tick) + " %");
    }
    double most = 1.0, total = 0.0;
    for (const ReliabilityBin& bin : d.bins) {
        most = (std::max)(most, bin.count);
        total += bin.count;
    }
    const std::string colour = fill(d.colour);
    const double floor = height - bottom;
    for (const ReliabilityBin& bin : d.bins) {
        const double a = x(bin.low) + 1, b = x(bin.high) - 1;
        const double tall = bin.count > 0.0 ? (std::max)(1.0, counts * bin.count / most) : 0.0;
        out += box(a, floor - tall, b - a, tall, colour);
        if (bin.count < fewest * total)
            continue;
        const double lower = y((std::min)(bin.accuracy, bin.confidence));
        const double upper = y((std::max)(bin.accuracy, bin.confidence));
        const bool over_confident = bin.accuracy < bin.confidence;
        out += box(a, lower, b - a, y(0) - lower, colour);
        out += box(a, upper, b - a, lower - upper, over_confident ? "gap f2" : "gap " + colour);
    }
    out += line(x(0), y(0), x(1), y(1), "line s0 dashed");
    out += line(left, y(0), width - right, y(0), "axis");
    out += line(left, floor, width - right, floor, "axis");
    out += label(left - 7, floor - counts + 9, "end", "muted small",
                 number(std::round(100 * most / (std::max)(1.0, total))) + " %");
    for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0})
        out += label(x(tick), floor + 17, "middle", "muted small", number(100 * tick) + " %");
    out += label((left + width - right) / 2, height - 6, "middle", "muted small",
                 "confidence (below: how often)");
    return out;
}

} // namespace plot

inline std::string svg(const LineCharts& plots, double width = 352, double height = 250)
{
    const double edge = 18, gap = 28, head = 48;
    const std::vector<LineChart>& charts = plots.charts;
    if (charts.empty())
        return plot::document(0, 0, "");
    const std::size_t columns = (std::min)(plots.columns, charts.size());
    const std::size_t rows = (charts.size() + columns - 1) / columns;
    plot::Range all;
    for (const LineChart& chart : charts) {
        const plot::Range range = plot::y_range(chart);
        all.see(range.low);
        all.see(range.high);
    }
    std::string body = plot::legend(charts.front().series, edge, 26);
    for (std::size_t i = 0; i < charts.size(); ++i)
        body += plot::moved(
            edge + static_cast<double>(i % columns) * (width + gap),
            head + static_cast<double>(i / columns) * (height + gap),
            plot::chart(charts[i], plots.same_y ? all : plot::y_range(charts[i]), width, height));
    return plot::document(2 * edge + static_cast<double>(columns) * (width + gap) - gap,
                          head + static_cast<double>(rows) * (height + gap) - gap + 10, body);
}

inline std::string svg(const LineChart& chart) { return svg(LineCharts{{chart}, 1}, 732, 290); }

/// Diagrams side by side.
inline std::string svg(const std::vector<ReliabilityDiagram>& diagrams)
{
    const double width = 352, height = 340, edge = 18, gap = 28;
    std::string body;
    for (std::size_t i = 0; i < diagrams.size(); ++i)
        body += plot::moved(edge + static_cast<double>(i) * (width + gap), 14,
                            plot::reliability(diagrams[i], width, height));
    const auto n = static_cast<double>(diagrams.size());
    return plot::document(2 * edge + n * (width + gap) - gap, height + 26, body);
}

/// One line for each value, whiskers of one standard deviation, the number at the end.
inline std::string svg(const BarChart& chart)
{
    const double width = 768, right = 96, top = 12, thick = 22, pitch = 38, bottom = 48;
    double left = 60;
    plot::Range range;
    for (const Bar& bar : chart.bars) {
        left = (std::max)(left, 34.0 + 6.6 * static_cast<double>(text_width(bar.name)));
        range.see((std::max)(0.0, bar.value.mean - bar.value.sd));
        range.see(bar.value.mean + bar.value.sd);
    }
    plot::Axis x{chart.dots ? range.low : 0.0, range.high, left, width - right, false};
    x.round_out();
    const double floor = top + pitch * static_cast<double>(chart.bars.size()) + 4;
    std::string body;
    for (const double tick : x.ticks()) {
        body += plot::line(x(tick), top, x(tick), floor, "grid");
        body += plot::label(x(tick), floor + 16, "middle", "muted small",
                            chart.percent ? plot::number(100 * tick) + " %" : plot::number(tick));
    }
    double y = top + 8;
    for (const Bar& bar : chart.bars) {
        const double middle = y + thick / 2;
        const double mean = x(bar.value.mean);
        const double low = x((std::max)(x.low, bar.value.mean - bar.value.sd));
        const double high = x(bar.value.mean + bar.value.sd);
        const std::string colour = std::to_string(bar.colour);
        body += plot::label(left - 12, middle + 4, "end", "", bar.name);
        if (chart.dots) {
            body += plot::line(low, middle, high, middle, std::string("line s").append(colour));
            body += plot::circle(mean, middle, 6, bar.colour);
        }
        else {
            body +=
                plot::box(left, y, (std::max)(0.5, mean - left), thick, plot::fill(bar.colour), 2);
            for (const double end : {low, high})
                body += plot::line(end, middle - 4, end, middle + 4, "error");
            body += plot::line(low, middle, high, middle, "error");
        }
        char value[48];
        std::snprintf(value, sizeof value, chart.percent ? "%.1f %%" : "%.3g",
                      (chart.percent ? 100 : 1) * bar.value.mean);
        body += plot::label(high + 12, middle + 4, "start", "", value);
        y += pitch;
    }
    body += plot::line(left, top, left, floor, "axis");
    body +=
        plot::label((left + width - right) / 2, floor + 36, "middle", "muted small", chart.x_label);
    return plot::document(width, floor + bottom, body);
}

/// A drawing, and the room that it takes.
struct Panel {
    double width = 0;
    double height = 0;
    std::string body{};
};

/// Dark on light, or light on dark where the reader's system is dark.
inline Panel images(const ImageGrid& grid, double side = 76)
{
    const double gap = 16, caption = 18;
    double left = 0;
    std::size_t columns = 0;
    for (const ImageGrid::ImageRow& row : grid.rows) {
        left = (std::max)(left, 14 + 6.6 * static_cast<double>(text_width(row.name)));
        columns = (std::max)(columns, row.images.size());
    }
    std::string body;
    double y = 0;
    for (const ImageGrid::ImageRow& row : grid.rows) {
        body += plot::label(0, y + side / 2 + 4, "start", "", row.name);
        double x = left;
        for (const ImageGrid::Image& image : row.images) {
            const std::string cells =
                plot::pixels(image.pixels, side) +
                plot::label(side / 2, side + 14, "middle", "muted small", image.caption);
            body += plot::moved(x, y, cells);
            x += side + gap;
        }
        y += side + caption + gap;
    }
    return {left + static_cast<double>(columns) * (side + gap) - gap, y - gap, body};
}

inline std::string svg(const ImageGrid& grid)
{
    const double edge = 18;
    const Panel panel = images(grid);
    return plot::document(panel.width + 2 * edge, panel.height + edge + 8,
                          plot::moved(edge, edge, panel.body));
}

/// A panel under a title.
inline Panel titled(const std::string& title, const Panel& panel)
{
    return {panel.width, panel.height + 34,
            plot::label(0, 14, "start", "title", title) + plot::moved(1, 34, panel.body)};
}

/// Panels side by side.
inline std::string svg(const std::vector<Panel>& panels)
{
    const double edge = 18, gap = 28;
    std::string body;
    double x = edge, height = 0;
    for (const Panel& panel : panels) {
        body += plot::moved(x, 12, panel.body);
        x += panel.width + gap;
        height = (std::max)(height, panel.height);
    }
    return plot::document(x - gap + edge, height + 24, body);
}

/// The picture as a document of its own, with its colours and a background.
inline std::string standalone(const std::string& picture)
{
    const std::size_t head = picture.find('>') + 1;
    return picture.substr(0, head) + "\n<style>" + std::string(svg_style) +
           "</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" class=\"surface\"/>" +
           picture.substr(head);
}

inline void write_svg(const std::filesystem::path& path, const std::string& picture)
{
    std::ofstream file(path);
    file << standalone(picture);
    if (!file.flush())
        throw std::runtime_error(path.string() + ": cannot be written");
}

} // namespace support
