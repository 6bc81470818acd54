#include "text/utf8.h"

namespace vulcat::text {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What may follow a lead byte: how many bytes, and the range of the first of them, which excludes overlong forms,
// surrogates and characters above U+10FFFF (Unicode, table 3-7).
struct Lead {
    size_t following = 0;
    uint8_t least = 0x80;
    uint8_t most = 0xBF;
};

Lead leadOf(uint8_t byte) {
    if (byte >= 0xC2 && byte <= 0xDF) return {1};
    if (byte == 0xE0) return {2, 0xA0};
    if (byte == 0xED) return {2, 0x80, 0x9F};
    if (byte >= 0xE1 && byte <= 0xEF) return {2};
    if (byte == 0xF0) return {3, 0x90};
    if (byte == 0xF4) return {3, 0x80, 0x8F};
    if (byte >= 0xF1 && byte <= 0xF3) return {3};
    return {};
}

}  // namespace

Utf8Step firstCharacter(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    if (byte(0) < 0x80) return {1, Utf8Kind::Whole, byte(0)};
    const Lead lead = leadOf(byte(0));
    if (lead.following == 0) return {1, Utf8Kind::Broken};
    char32_t character = byte(0) & (0x3Fu >> lead.following);
    for (size_t i = 1; i <= lead.following; ++i) {
        if (i == text.size()) return {i, Utf8Kind::Open};
        const uint8_t least = i == 1 ? lead.least : 0x80;
        const uint8_t most = i == 1 ? lead.most : 0xBF;
        if (byte(i) < least || byte(i) > most) return {i, Utf8Kind::Broken};
        character = character << 6 | (byte(i) & 0x3Fu);
    }
    return {lead.following + 1, Utf8Kind::Whole, character};
}

std::string takeComplete(std::string& pending) {
    std::string complete;
    std::string_view rest = pending;
    while (!rest.empty()) {
        const Utf8Step step = firstCharacter(rest);
        if (step.kind == Utf8Kind::Open) break;
        complete += step.kind == Utf8Kind::Whole ? rest.substr(0, step.length) : kReplacement;
        rest.remove_prefix(step.length);
    }
    pending.erase(0, pending.size() - rest.size());
    return complete;
}

std::string repairedUtf8(std::string_view text) {
    std::string pending(text);
    std::string complete = takeComplete(pending);
    if (!pending.empty()) complete += kReplacement;
    return complete;
}

bool isSpace(char32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

void appendUtf8(std::string& text, char32_t character) {
    const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
    if (character < 0x80) {
        put(character);
    } else if (character < 0x800) {
        put(0xC0 | character >> 6);
        put(0x80 | (character & 0x3F));
    } else if (character < 0x10000) {
        put(0xE0 | character >> 12);
        put(0x80 | (character >> 6 & 0x3F));
        put(0x80 | (character & 0x3F));
    } else {
        put(0xF0 | character >> 18);
        put(0x80 | (character >> 12 & 0x3F));
        put(0x80 | (character >> 6 & 0x3F));
        put(0x80 | (character & 0x3F));
    }
}

}  // namespace vulcat::text
