#include "text/word_cutter.h"

#include "base/error.h"

#include <utility>

namespace vulcat::text {

namespace {

using Words = std::vector<std::string_view>;

// A space becomes 3 bytes; a chain of hostile replacements could grow a text without bound.
constexpr size_t kMaxGrowth = 8;

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string result;
    result.reserve(text.size());
    for (size_t begin = 0; begin <= text.size();) {
        const size_t found = text.find(from, begin);
        result += text.substr(begin, found == std::string_view::npos ? found : found - begin);
        if (found == std::string_view::npos) break;
        result += to;
        begin = found + from.size();
    }
    return result;
}

// Cuts before each `mark`, or only before those that follow something else.
void cutBefore(std::string_view text, std::string_view mark, bool insideRuns, Words& words) {
    size_t begin = 0;
    bool afterMark = false;
    for (size_t i = 0; i < text.size();) {
        const bool isMark = text.substr(i, mark.size()) == mark;
        if (isMark && i > begin && (insideRuns || !afterMark)) {
            words.push_back(text.substr(begin, i - begin));
            begin = i;
        }
        afterMark = isMark;
        i += isMark ? mark.size() : 1;
    }
    if (begin < text.size()) words.push_back(text.substr(begin));
}

}  // namespace

WordCutter::WordCutter(const TokenizerFile& file, std::string wordStart)
    : normaliser_(file.normaliser), addPrefixSpace_(file.addPrefixSpace), wordStart_(std::move(wordStart)) {
    for (const CutStep& step : file.cuts) {
        Cut cut{step, std::nullopt};
        if (step.kind == CutStep::Kind::Pattern) cut.pattern.emplace(step.pattern);
        cuts_.push_back(std::move(cut));
    }
}

std::string WordCutter::normalised(std::string_view text) const {
    std::string result(text);
    for (const NormaliserStep& step : normaliser_) {
        if (step.replace) {
            result = replaced(result, step.replace->from, step.replace->to);
        } else if (!result.empty()) {
            result.insert(0, step.prepend);
        }
        if (result.size() > kMaxGrowth * text.size() + 1024) {
            throw Error(Result::InvalidFile, "tokenizer.json: the normaliser makes texts more than 8 times as long");
        }
    }
    return result;
}

std::vector<std::string_view> WordCutter::words(std::string& text, bool atTextStart) const {
    if (addPrefixSpace_ && !text.starts_with(' ')) text.insert(0, " ");
    if (!cuts_.empty() && cuts_.front().step.kind == CutStep::Kind::Metaspace) {
        const Metaspace& metaspace = cuts_.front().step.metaspace;
        text = replaced(text, " ", metaspace.replacement);
        const bool wanted = metaspace.prepend == Metaspace::Prepend::Always ||
                            (metaspace.prepend == Metaspace::Prepend::First && atTextStart);
        if (wanted && !text.starts_with(metaspace.replacement)) text.insert(0, metaspace.replacement);
    }
    Words words = {text};
    Words next;
    for (const Cut& cut : cuts_) {
        next.clear();
        for (const std::string_view word : words) {
            switch (cut.step.kind) {
                case CutStep::Kind::Pattern:
                    cut.pattern->split(word, cut.step.keepMatches, next);
                    break;
                case CutStep::Kind::Metaspace:
                    if (cut.step.metaspace.split) {
                        cutBefore(word, cut.step.metaspace.replacement, true, next);
                    } else {
                        next.push_back(word);
                    }
                    break;
            }
        }
        words.swap(next);
    }
    if (wordStart_.empty()) return words;
    next.clear();
    for (const std::string_view word : words) cutBefore(word, wordStart_, false, next);
    return next;
}

}  // namespace vulcat::text
