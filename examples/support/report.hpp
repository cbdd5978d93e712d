// SPDX-License-Identifier: BSL-1.0
#pragma once

// A report as one HTML file without scripts and without links to anywhere else: a table of rows, then
// sections with figures. Every figure is also written as an SVG file.
//
//   Report report("title", "what was done");
//   report.results(rows, seeds);
//   report.section("mixup", "what it is");
//   report.figure("mixup_accuracy", svg(chart), "what is to be seen");
//   report.write("out");                                // out/index.html, out/mixup_accuracy.svg

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/rows.hpp"
#include "support/svg.hpp"

namespace support {

class Report {
  public:
    Report(std::string title, std::string introduction)
        : title_(std::move(title)), introduction_(std::move(introduction))
    {
    }

    void results(const std::vector<Row>& rows) { rows_ = rows; }
    /// A line under the results: how the numbers were made.
    void footnote(std::string text) { footnote_ = std::move(text); }
    void section(std::string title, std::string text)
    {
        sections_.push_back({std::move(title), std::move(text), {}});
    }
    /// A picture of the latest section. The name is that of the SVG file.
    void figure(std::string name, std::string picture, std::string caption)
    {
        if (sections_.empty())
            section("", "");
        sections_.back().figures.push_back(
            {std::move(name), std::move(picture), std::move(caption)});
    }

    [[nodiscard]] std::string html() const
    {
        std::string out =
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
            escaped(title_) + "</title>\n<style>" + std::string(page_style) +
            std::string(svg_style) + "</style>\n</head>\n<body>\n<header>\n<h1>" + escaped(title_) +
            "</h1>\n<p class=\"lead\">" + escaped(introduction_) + "</p>\n</header>\n<main>\n";
        out += results_html();
        for (const Section& section : sections_) {
            out += "<section>\n<h2>" + escaped(section.title) + "</h2>\n<p>" +
                   escaped(section.text) + "</p>\n";
            for (const Figure& figure : section.figures)
                out += "<figure>\n" + figure.picture + "<figcaption>" + escaped(figure.caption) +
                       "</figcaption>\n</figure>\n";
            out += "</section>\n";
        }
        return out + "</main>\n</body>\n</html>\n";
    }

    /// Makes the folder if need be.
    void write(const std::filesystem::path& folder) const
    {
        std::filesystem::create_directories(folder);
        std::ofstream file(folder / "index.html");
        file << html();
        if (!file.flush())
            throw std::runtime_error((folder / "index.html").string() + ": cannot be written");
        for (const Section& section : sections_)
            for (const Figure& figure : section.figures)
                write_svg(folder / (figure.name + ".svg"), figure.picture);
    }

  private:
    struct Figure {
        std::string name;
        std::string picture;
        std::string caption;
    };
    struct Section {
        std::string title;
        std::string text;
        std::vector<Figure> figures;
    };

    static constexpr std::string_view page_style = R"(
:root{--page:#f4f6f8;--card:#fff;--ink:#1b2430;--muted:#5b6673;--rule:#e4e8ed;--yes:#0b6b50;--yes-bg:#e1f4ed;--no:#8a4b08;--no-bg:#fcefdc}
@media (prefers-color-scheme:dark){:root{--page:#0d1117;--card:#161b22;--ink:#e6ebf1;--muted:#9ba7b4;--rule:#2a313a;--yes:#6fdcb8;--yes-bg:#12352b;--no:#f3b877;--no-bg:#3a2810}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header,main{max-width:57rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:3rem}
h1{font-size:2rem;line-height:1.2;letter-spacing:-.02em;margin:0 0 .6rem}
h2{font-size:1.25rem;letter-spacing:-.01em;margin:0 0 .4rem}
p{margin:0 0 1rem;max-width:46rem}
.lead{font-size:1.1rem;color:var(--muted)}
section{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:1.5rem;margin:1.25rem 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.95rem;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--muted);font-size:.82rem;padding:.4rem .7rem;border-bottom:1px solid var(--rule)}
td:first-child{white-space:nowrap}
td{padding:.55rem .7rem;border-bottom:1px solid var(--rule);vertical-align:top}
tr:last-child td{border-bottom:0}
td.number,th.number{text-align:right;white-space:nowrap}
td small{display:block;color:var(--muted);font-size:.82rem;line-height:1.35}
.verdict{display:inline-block;border-radius:99px;padding:.05rem .65rem;font-size:.85rem;font-weight:600;white-space:nowrap}
.yes{color:var(--yes);background:var(--yes-bg)}.no{color:var(--no);background:var(--no-bg)}
.note{color:var(--muted);font-size:.88rem;margin:1rem 0 0}
figure{margin:1.25rem 0 0}
figure svg{display:block;max-width:100%;height:auto;margin:0 -.5rem}
figcaption{color:var(--muted);font-size:.9rem;margin-top:.4rem;max-width:46rem}
@media print{body{background:none}section{break-inside:avoid}}
)";

    [[nodiscard]] std::string results_html() const
    {
        if (rows_.empty())
            return {};
        std::string out = "<section>\n<h2>Results</h2>\n<div class=\"scroll\"><table>\n<thead><tr>"
                          "<th>Technique</th><th>Metric</th><th class=\"number\">Baseline</th>"
                          "<th class=\"number\">With</th><th "
                          "class=\"number\">Change</th><th>Claim</th></tr></thead>\n<tbody>\n";
        for (const Row& row : rows_) {
            out += "<tr><td><strong>" + escaped(row.name) + "</strong><small>against " +
                   escaped(row.baseline_name) + "</small></td><td>" + escaped(row.metric) +
                   (row.better == Better::higher ? "&nbsp;↑" : "&nbsp;↓") +
                   "</td><td class=\"number\">" + text(row.baseline, row.percent) +
                   "</td><td class=\"number\">" + text(row.with, row.percent) +
                   "</td><td class=\"number\">" +
                   text(row.change, row.standard_error, row.percent, true) +
                   "</td><td><span class=\"verdict " + (row.claim_shown ? "yes" : "no") + "\">" +
                   (row.claim_shown ? "shown" : "not shown") + "</span><small>" +
                   escaped(row.claim) + "</small></td></tr>\n";
        }
        return out + "</tbody>\n</table></div>\n<p class=\"note\">" + escaped(footnote_) +
               "</p>\n</section>\n";
    }

    std::string title_;
    std::string introduction_;
    std::string footnote_;
    std::vector<Row> rows_;
    std::vector<Section> sections_;
};

} // namespace support
