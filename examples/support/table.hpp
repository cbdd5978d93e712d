// SPDX-License-Identifier: BSL-1.0
#pragma once

// A table on a terminal: aligned columns, box drawing where the output is a terminal, plain text in
// files and pipes.
//
//   Table table({{"technique"}, {"accuracy", Align::right}});
//   table.add({"mixup", "94.3"});
//   table.print(stdout);

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "support/terminal.hpp"

namespace support {

enum class Align { left, right };

class Table {
  public:
    struct Column {
        std::string title;
        Align align = Align::left;
    };
    struct Cell {
        std::string text;
        Style style = Style::plain;

        Cell(const char* t) : text(t) {}            // NOLINT(google-explicit-constructor)
        Cell(std::string t) : text(std::move(t)) {} // NOLINT(google-explicit-constructor)
        Cell(std::string t, Style s) : text(std::move(t)), style(s) {}
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// One cell for every column.
    void add(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
    /// A thin line before the next row.
    void separate() { separators_.push_back(rows_.size()); }

    void print(std::FILE* out) const
    {
        const bool box = is_terminal(out);
        const bool colour = wants_colour(out);
        std::vector<std::size_t> widths;
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            widths.push_back(text_width(columns_[c].title));
            for (const std::vector<Cell>& row : rows_)
                widths[c] = (std::max)(widths[c], text_width(row[c].text));
        }
        std::vector<Cell> titles;
        for (const Column& column : columns_)
            titles.emplace_back(column.title, Style::bold);

        std::string text;
        if (box)
            text += rule(widths, "┌", "─", "┬", "┐");
        text += line(titles, widths, box, colour);
        text += box ? rule(widths, "├", "─", "┼", "┤") : rule(widths, "", "-", "  ", "");
        for (std::size_t r = 0; r < rows_.size(); ++r) {
            if (r > 0 && std::find(separators_.begin(), separators_.end(), r) != separators_.end())
                text += box ? rule(widths, "├", "─", "┼", "┤") : "\n";
            text += line(rows_[r], widths, box, colour);
        }
        if (box)
            text += rule(widths, "└", "─", "┴", "┘");
        std::fputs(text.c_str(), out);
    }

  private:
    static std::string rule(const std::vector<std::size_t>& widths, const char* left,
                            const char* dash, const char* middle, const char* right)
    {
        const bool box = *left != '\0';
        std::string text = left;
        for (std::size_t c = 0; c < widths.size(); ++c) {
            for (std::size_t i = 0; i < widths[c] + (box ? 2 : 0); ++i)
                text += dash;
            text += c + 1 < widths.size() ? middle : right;
        }
        return text + "\n";
    }

    [[nodiscard]] std::string line(const std::vector<Cell>& cells,
                                   const std::vector<std::size_t>& widths, bool box,
                                   bool colour) const
    {
        std::string text = box ? "│ " : "";
        for (std::size_t c = 0; c < cells.size(); ++c) {
            const bool last = c + 1 == cells.size();
            const std::string gap(widths[c] - text_width(cells[c].text), ' ');
            const std::string shown = styled(cells[c].text, cells[c].style, colour);
            if (columns_[c].align == Align::right)
                text += gap + shown;
            else
                text += shown + (last && !box ? "" : gap);
            text += last ? (box ? " │" : "") : (box ? " │ " : "  ");
        }
        return text + "\n";
    }

    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
    std::vector<std::size_t> separators_;
};

} // namespace support
