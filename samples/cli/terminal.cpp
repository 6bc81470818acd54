#include "cli/terminal.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <unistd.h>

namespace vulcat::cli {
namespace {

bool stderrIsTerminal() { return isatty(STDERR_FILENO) == 1; }

bool colour() {
    const char* no = std::getenv("NO_COLOR");
    return stderrIsTerminal() && (no == nullptr || *no == '\0');
}

void logLabelled(const char* label, const char* sgr, std::string_view text) {
    const bool paint = colour();
    std::fprintf(stderr, "%s%s%s%s: %.*s\n", stderrIsTerminal() ? "\r\033[K" : "", paint ? sgr : "", label,
                 paint ? "\033[0m" : "", static_cast<int>(text.size()), text.data());
}

/// Characters a terminal shows for valid UTF-8 without combining or wide characters: enough for our own tables.
size_t shownWidth(const std::string& text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

using Row = std::vector<std::string>;

/// The first column is left-aligned, the others right-aligned; a cell longer than its width is not cut.
std::string markdownLine(const Row& row, const std::vector<size_t>& width) {
    std::string text;
    for (size_t c = 0; c < width.size(); ++c) {
        const std::string cell = c < row.size() ? row[c] : "";
        const std::string pad(width[c] - std::min(width[c], shownWidth(cell)), ' ');
        text += c == 0 ? "| " + cell + pad + " |" : " " + pad + cell + " |";
    }
    return text + '\n';
}

std::string markdownHead(const Row& header, const std::vector<size_t>& width) {
    std::string text = markdownLine(header, width);
    for (size_t c = 0; c < width.size(); ++c)
        text += (c == 0 ? "|" : "") + std::string(width[c] + (c == 0 ? 2 : 1), '-') + (c == 0 ? "|" : ":|");
    return text + '\n';
}

void widen(std::vector<size_t>& width, const Row& row) {
    for (size_t c = 0; c < row.size() && c < width.size(); ++c) width[c] = std::max(width[c], shownWidth(row[c]));
}

std::string csvLine(const Row& row) {
    std::string text;
    for (size_t c = 0; c < row.size(); ++c) {
        std::string cell = row[c];
        if (cell.find_first_of(",\"\n") != std::string::npos) {
            for (size_t at = 0; (at = cell.find('"', at)) != std::string::npos; at += 2) cell.insert(at, 1, '"');
            cell = '"' + cell + '"';
        }
        text += (c > 0 ? "," : "") + cell;
    }
    return text + '\n';
}

/// Columns narrower than this are no markdown.
constexpr size_t kLeastWidth = 3;

}  // namespace

void logLine(std::string_view text) {
    std::fprintf(stderr, "%s%.*s\n", stderrIsTerminal() ? "\r\033[K" : "", static_cast<int>(text.size()), text.data());
}

void logError(std::string_view text) { logLabelled("error", "\033[1;31m", text); }
void logWarning(std::string_view text) { logLabelled("warning", "\033[1;33m", text); }

void ProgressLine::update(std::string_view stage, uint64_t done, uint64_t total, double remainingSeconds) {
    const Clock::time_point now = Clock::now();
    const bool newStage = stage != stage_;
    if (newStage) {
        stage_ = stage;
        stageBegin_ = now;
    }
    const bool terminal = stderrIsTerminal();
    const auto pause = terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
    if (showing_ && !(newStage && terminal) && now - lastShown_ < pause && done < total) return;
    // In a log the first line of a run would only say 0 %; wait for the pause to pass.
    if (!terminal && !showing_) {
        showing_ = true;
        lastShown_ = now;
        return;
    }
    if (!terminal && now - lastShown_ < pause) return;
    showing_ = true;
    lastShown_ = now;
    const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0.0;
    std::string line = stage_ + "  " + fixed(100.0 * share, 0) + " %";
    const double elapsed = std::chrono::duration<double>(now - stageBegin_).count();
    if (remainingSeconds < 0.0 && share > 0.0 && elapsed > 1.0) remainingSeconds = elapsed / share - elapsed;
    if (remainingSeconds >= 0.0 && share < 1.0) line += "  " + humanSeconds(remainingSeconds) + " left";
    std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
}

void ProgressLine::clear() {
    if (showing_ && stderrIsTerminal()) std::fputs("\r\033[K", stderr);
    showing_ = false;
}

std::string fixed(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

std::string humanBytes(uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < std::size(kUnits)) {
        value /= 1024.0;
        ++unit;
    }
    return fixed(value, unit == 0 || value >= 100.0 ? 0 : value >= 10.0 ? 1 : 2) + " " + kUnits[unit];
}

std::string humanSeconds(double seconds) {
    const auto whole = static_cast<long long>(std::max(0.0, seconds) + 0.5);
    if (whole < 60) return std::to_string(whole) + " s";
    if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
    return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string Table::markdown() const {
    std::vector<size_t> width(header_.size(), kLeastWidth);
    widen(width, header_);
    for (const Row& row : rows_) widen(width, row);
    std::string text = markdownHead(header_, width);
    for (const Row& row : rows_) text += markdownLine(row, width);
    return text;
}

std::string Table::csv() const {
    std::string text = csvLine(header_);
    for (const Row& row : rows_) text += csvLine(row);
    return text;
}

std::string Table::json() const {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const auto& row : rows_) {
        nlohmann::ordered_json object;
        for (size_t c = 0; c < row.size() && c < header_.size(); ++c) {
            char* end = nullptr;
            const double number = std::strtod(row[c].c_str(), &end);
            if (!row[c].empty() && *end == '\0')
                object[header_[c]] = number;
            else
                object[header_[c]] = row[c];
        }
        rows.push_back(std::move(object));
    }
    return rows.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string Table::format(std::string_view name) const {
    return name == "csv" ? csv() : name == "json" ? json() : markdown();
}

void printBeside(const Table& table, const std::string& heading, const std::string& format) {
    const bool markdown = format == "md";
    std::fputs((markdown ? "\n" + heading + "\n\n" + table.markdown() : table.format(format)).c_str(), markdown ? stdout : stderr);
    std::fflush(stdout);
}

LiveTable::LiveTable(std::vector<std::string> header, std::string format, std::vector<size_t> widths)
    : table_(std::move(header)), format_(std::move(format)), widths_(std::move(widths)) {
    widths_.resize(table_.header_.size(), kLeastWidth);
    widen(widths_, table_.header_);
}

LiveTable::~LiveTable() {
    try {
        finish();
    } catch (const std::exception&) {
        // Out of memory while another error is on its way.
    }
}

void LiveTable::add(std::vector<std::string> row) {
    if (format_ != "json") {
        const bool csv = format_ == "csv";
        std::string text;
        if (table_.rows_.empty()) text = csv ? csvLine(table_.header_) : markdownHead(table_.header_, widths_);
        text += csv ? csvLine(row) : markdownLine(row, widths_);
        std::fputs(text.c_str(), stdout);
        std::fflush(stdout);
    }
    table_.add(std::move(row));
}

void LiveTable::finish() {
    if (finished_) return;
    finished_ = true;
    if (format_ == "json") std::fputs(table_.json().c_str(), stdout);
    std::fflush(stdout);
}

}  // namespace vulcat::cli
