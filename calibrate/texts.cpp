#include "calibrate/texts.h"

#include "text/tokenizer.h"

#include "base/error.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>

namespace vulcat::calibrate {

namespace {

std::string readFile(const std::filesystem::path& file) {
    std::error_code status;
    if (std::filesystem::is_directory(file, status))
        throw Error(Result::InvalidFile, file.string() + ": is a folder, not a text file");
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw Error(Result::InvalidFile, file.string() + ": cannot be opened for reading");
    std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (stream.bad()) throw Error(Result::InvalidFile, file.string() + ": reading failed");
    return text;
}

std::string_view strip(std::string_view text) {
    const auto isBreak = [](char c) { return c == '\n' || c == '\r'; };
    while (!text.empty() && isBreak(text.front())) text.remove_prefix(1);
    while (!text.empty() && isBreak(text.back())) text.remove_suffix(1);
    return text;
}

/// Windows of one tokenised piece: BOS where there is one, then up to seqLen tokens altogether.
void appendWindows(const std::vector<int32_t>& ids, bool hasBos, size_t seqLen, bool all, std::vector<Sequence>& out) {
    const size_t lead = hasBos ? 1 : 0;
    const size_t step = seqLen - lead;
    for (size_t begin = lead; begin < std::max(ids.size(), lead + 1); begin += step) {
        Sequence window(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(std::min(lead, ids.size())));
        const size_t end = std::min(ids.size(), begin + step);
        if (begin < end)
            window.insert(window.end(), ids.begin() + static_cast<ptrdiff_t>(begin),
                          ids.begin() + static_cast<ptrdiff_t>(end));
        if (window.size() >= 2) out.push_back(std::move(window));
        if (!all) return;
    }
}

/// A piece without separators can be far longer than what is asked for: a token is rarely more than this many bytes,
/// and encoding the rest would only cost time.
constexpr size_t kBytesPerToken = 16;

std::string_view cutForSamples(std::string_view text, const TextOptions& texts, size_t seqLen) {
    if (!texts.separator.empty() || texts.samples == 0 || texts.fromEnd) return text;
    size_t keep = static_cast<size_t>(texts.samples) * seqLen * kBytesPerToken;
    if (keep >= text.size()) return text;
    while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0u) == 0x80u) --keep;  // not inside a character
    return text.substr(0, keep);
}

}  // namespace

std::vector<std::string> readPieces(const std::filesystem::path& file, const std::string& separator) {
    const std::string text = readFile(file);
    std::vector<std::string> pieces;
    if (separator.empty()) {
        if (const std::string_view whole = strip(text); !whole.empty()) pieces.emplace_back(whole);
    } else {
        size_t begin = 0;
        for (size_t at = text.find(separator); at != std::string::npos; at = text.find(separator, begin)) {
            if (const std::string_view piece = strip(std::string_view(text).substr(begin, at - begin)); !piece.empty())
                pieces.emplace_back(piece);
            begin = at + separator.size();
        }
        if (begin == 0 && !text.empty())
            throw Error(Result::InvalidFile, file.string() + ": the separator '" + separator + "' never occurs in it");
    }
    if (pieces.empty()) throw Error(Result::InvalidFile, file.string() + ": holds no text");
    return pieces;
}

std::vector<Sequence> readSequences(const TextOptions& texts, const text::Tokenizer& tokenizer, int maxPositions) {
    if (texts.files.empty()) throw Error(Result::InvalidArgument, "no text file was given");
    if (texts.seqLen < 2) throw Error(Result::InvalidArgument, "the sequence length must be at least 2 tokens");
    const size_t seqLen = static_cast<size_t>(std::max(2, std::min(texts.seqLen, maxPositions)));
    const size_t wanted = static_cast<size_t>(texts.samples);
    const bool allWindows = texts.separator.empty();
    std::vector<Sequence> sequences;
    for (const std::filesystem::path& file : texts.files) {
        std::vector<std::string> pieces = readPieces(file, texts.separator);
        for (const std::string& piece : pieces) {
            if (wanted > 0 && !texts.fromEnd && sequences.size() >= wanted) break;
            const std::vector<int32_t> ids = tokenizer.encode(cutForSamples(piece, texts, seqLen), tokenizer.addsBos());
            const bool hasBos = tokenizer.addsBos() && !ids.empty() && ids.front() == tokenizer.bosId();
            appendWindows(ids, hasBos, seqLen, allWindows, sequences);
        }
    }
    if (wanted > 0 && sequences.size() > wanted) {
        const auto excess = static_cast<ptrdiff_t>(sequences.size() - wanted);
        if (texts.fromEnd)
            sequences.erase(sequences.begin(), sequences.begin() + excess);
        else
            sequences.erase(sequences.end() - excess, sequences.end());
    }
    if (sequences.empty())
        throw Error(Result::InvalidFile, texts.files.front().string() + ": no piece of text has two tokens or more");
    return sequences;
}

}  // namespace vulcat::calibrate
