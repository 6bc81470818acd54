#include "text/added_tokens.h"

#include "text/utf8.h"

namespace vulcat::text {

namespace {

// Length of the text without white space at its end.
size_t withoutSpaceAtEnd(std::string_view text) {
    size_t end = text.size();
    while (end > 0) {
        size_t begin = end - 1;
        while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
        const Utf8Step step = firstCharacter(text.substr(begin, end - begin));
        if (step.kind != Utf8Kind::Whole || !isSpace(step.character)) break;
        end = begin;
    }
    return end;
}

// Length of the white space at the text's beginning.
size_t spaceAtBegin(std::string_view text) {
    size_t length = 0;
    while (length < text.size()) {
        const Utf8Step step = firstCharacter(text.substr(length));
        if (step.kind != Utf8Kind::Whole || !isSpace(step.character)) break;
        length += step.length;
    }
    return length;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens)
    : tokens_(tokens), ends_{-1}, firstBytes_(256, false) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
        if (tokens_[i].content.empty()) continue;
        uint32_t node = 0;
        for (const char c : tokens_[i].content) {
            const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(c);
            const auto [found, isNew] = edges_.emplace(edge, static_cast<uint32_t>(ends_.size()));
            if (isNew) ends_.push_back(-1);
            node = found->second;
        }
        ends_[node] = static_cast<int32_t>(i);
        firstBytes_[static_cast<uint8_t>(tokens_[i].content.front())] = true;
    }
}

AddedTokenMatcher::Found AddedTokenMatcher::longestAt(std::string_view text, size_t begin) const {
    Found best;
    uint32_t node = 0;
    for (size_t i = begin; i < text.size(); ++i) {
        const auto edge = edges_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[i]));
        if (edge == edges_.end()) break;
        node = edge->second;
        if (ends_[node] >= 0) best = {i + 1 - begin, &tokens_[static_cast<size_t>(ends_[node])]};
    }
    return best;
}

std::vector<Segment> AddedTokenMatcher::split(std::string_view text) const {
    std::vector<Segment> segments;
    size_t taken = 0;
    const auto takeText = [&](size_t end) {
        if (end > taken) segments.push_back({-1, text.substr(taken, end - taken)});
    };
    for (size_t i = 0; i < text.size();) {
        const Found found = firstBytes_[static_cast<uint8_t>(text[i])] ? longestAt(text, i) : Found{};
        if (found.token == nullptr) {
            ++i;
            continue;
        }
        const std::string_view before = text.substr(taken, i - taken);
        takeText(found.token->leftStrip ? taken + withoutSpaceAtEnd(before) : i);
        segments.push_back({found.token->id, text.substr(i, found.length)});
        i += found.length;
        if (found.token->rightStrip) i += spaceAtBegin(text.substr(i));
        taken = i;
    }
    takeText(text.size());
    return segments;
}

}  // namespace vulcat::text
