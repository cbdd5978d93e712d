// SPDX-License-Identifier: BSL-1.0
#pragma once

// An observer that writes the reports of a run into a file of comma-separated numbers, a line for each step:
//
//   CsvLog log("run.csv", state.step);          the first step that this process will do
//   log(step, report);                          step,loss,...
//
// A run that goes on from a checkpoint of step k has done steps in [k, ...) before that did not count: on
// opening, lines from step k on are dropped, and a last line that was cut off with them, so that the file is in
// the end the one that an uninterrupted run would have written. With first step 0 it begins anew. Each line is
// given to the operating system at once; numbers are written so that they read back to the bit. Names of the
// columns are those of the first report. RangeError: steps that do not rise, a report with other names.
// FormatError: the file is something else. Error: it cannot be written.

#include <temper/checkpoint.hpp>
#include <temper/core/compose.hpp>

namespace temper::inline TEMPER_ABI {

class CsvLog {
  public:
    explicit CsvLog(std::filesystem::path path, Index first_step = 0)
        : path_(std::move(path)), last_(first_step - 1)
    {
        std::string kept;
        if (first_step > 0 && std::filesystem::exists(path_))
            kept = before(first_step);
        header_ = kept.substr(0, kept.find('\n'));
        detail::write_atomically(path_, {std::as_bytes(std::span(kept))});
        file_ = std::fopen(path_.string().c_str(), "ab");
        if (file_ == nullptr)
            detail::fail_file(path_, "cannot be written", detail::last_error());
    }
    CsvLog(const CsvLog&) = delete;
    CsvLog& operator=(const CsvLog&) = delete;
    ~CsvLog() { std::fclose(file_); }

    void operator()(Index step, const Report& report)
    {
        require(step > last_, "CsvLog", "step", static_cast<double>(step),
                "after the step before it");
        line_ = "step";
        for (const auto& [name, value] : report)
            line_.append(",").append(name);
        if (header_.empty()) {
            header_ = line_;
            line_ += '\n';
            write();
        }
        else if (line_ != header_)
            fail<RangeError>("CsvLog", "report", joined({"has the columns ", line_}), header_);
        line_ = text(step);
        for (const auto& [name, value] : report) {
            char number[32];
            std::snprintf(number, sizeof number, ",%.17g", value);
            line_ += number;
        }
        line_ += '\n';
        write();
        last_ = step;
    }

  private:
    /// The header and the whole lines of steps before this one.
    [[nodiscard]] std::string before(Index step) const
    {
        const std::vector<std::byte> bytes = detail::read_whole(path_);
        std::string all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        std::size_t end = all.find('\n') + 1; // 0 where there is no whole line
        if (!all.empty() && !std::string("step,").starts_with(all.substr(0, 5)))
            fail<FormatError>("CsvLog", path_.string(), "is something else", "from a CsvLog");
        for (std::size_t next = end; end > 0 && (next = all.find('\n', end)) != std::string::npos;
             end = next + 1)
            if (std::strtoll(all.c_str() + end, nullptr, 10) >= step)
                break;
        all.resize(end);
        return all;
    }
    void write()
    {
        if (std::fwrite(line_.data(), 1, line_.size(), file_) != line_.size() ||
            std::fflush(file_) != 0)
            detail::fail_file(path_, "cannot be written", detail::last_error());
    }

    std::filesystem::path path_;
    Index last_;
    std::string header_;
    std::string line_;
    std::FILE* file_ = nullptr;
};

} // namespace temper::inline TEMPER_ABI
