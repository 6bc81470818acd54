#pragma once
// What a person sees: logs and progress on stderr, tables for stdout. Colour only on a terminal, never with NO_COLOR.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::cli {

/// One line on stderr, above a progress line if one is showing.
void logLine(std::string_view text);

/// One line on stderr that begins with a coloured "error:" or "warning:".
void logError(std::string_view text);
void logWarning(std::string_view text);

/// A progress line with the share done and the time left. On a terminal it redraws itself; in a log file it prints a
/// line at most every ten seconds. Destroying it removes the line.
class ProgressLine {
  public:
    ProgressLine() = default;
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    /// done of total (any unit). The time left is the caller's if it knows (seconds, not negative), else it follows from
    /// the speed so far; a new `stage` restarts that clock.
    void update(std::string_view stage, uint64_t done, uint64_t total, double remainingSeconds = -1.0);
    void clear();

  private:
    using Clock = std::chrono::steady_clock;
    std::string stage_;
    Clock::time_point stageBegin_ = Clock::now();
    Clock::time_point lastShown_{};
    bool showing_ = false;
};

/// "1.5 GiB", "812 KiB": three digits, binary units.
std::string humanBytes(uint64_t bytes);
/// "3 s", "2 min 5 s", "1 h 12 min".
std::string humanSeconds(double seconds);
/// printf("%.*f").
std::string fixed(double value, int digits);

/// A table whose columns are as wide as their cells; the first column is left-aligned, the others right-aligned.
class Table {
  public:
    explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    /// Markdown, readable as it stands in a terminal.
    std::string markdown() const;
    std::string csv() const;
    /// A JSON array of objects, keys from the header; cells that are numbers stay numbers.
    std::string json() const;
    /// One of "md", "csv", "json".
    std::string format(std::string_view name) const;

  private:
    friend class LiveTable;
    std::vector<std::string> header_;
    std::vector<std::vector<std::string>> rows_;
};

/// A further table of a command: as markdown under its heading; beside csv and json it goes to stderr, so that stdout stays one
/// document.
void printBeside(const Table& table, const std::string& heading, const std::string& format);

/// A table on stdout that is printed while it grows, so that what was measured is there however the program ends: each row
/// when it is added; json, which is one document, at the end.
class LiveTable {
  public:
    /// `format`: as of Table::format(). `widths` in markdown: of the columns, each at least as wide as its header; a longer cell
    /// moves the rest of its row.
    LiveTable(std::vector<std::string> header, std::string format, std::vector<size_t> widths = {});
    /// Prints what finish() would, where an error or Ctrl-C has ended the work.
    ~LiveTable();
    LiveTable(const LiveTable&) = delete;
    LiveTable& operator=(const LiveTable&) = delete;

    void add(std::vector<std::string> row);
    /// After the last row.
    void finish();

  private:
    Table table_;
    std::string format_;
    std::vector<size_t> widths_;
    bool finished_ = false;
};

}  // namespace vulcat::cli
