#include "text/utf8.h"
#include "text/byte_alphabet.h"

#include "support/rng.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace vulcat;
using namespace vulcat::text;

namespace {
const std::string kBad = "\xEF\xBF\xBD";
}

TEST_CASE("every character there is, is whole, and comes back as it was") {
    for (char32_t c = 0; c < 0x110000; ++c) {
        if (c >= 0xD800 && c < 0xE000) continue;
        std::string text;
        appendUtf8(text, c);
        const Utf8Step step = firstCharacter(text);
        REQUIRE(step.kind == Utf8Kind::Whole);
        REQUIRE(step.length == text.size());
        REQUIRE(step.character == c);
        for (size_t length = 1; length < text.size(); ++length) {
            const Utf8Step part = firstCharacter(std::string_view(text).substr(0, length));
            REQUIRE(part.kind == Utf8Kind::Open);
            REQUIRE(part.length == length);
        }
    }
}

TEST_CASE("broken sequences become one U+FFFD for each maximal part (Unicode, section 3.9)") {
    CHECK(repairedUtf8("plain \xC3\xA9") == "plain \xC3\xA9");
    CHECK(repairedUtf8("a\xF0\x9F\xA6z") == "a" + kBad + "z");
    CHECK(repairedUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                       "A") == kBad + kBad + kBad + kBad + kBad + kBad + kBad + kBad + "A");
    CHECK(repairedUtf8("\xED\xA0\x80") == kBad + kBad + kBad);
    CHECK(repairedUtf8("\xF4\x91\x92\x93\xFF"
                       "A\x80") == kBad + kBad + kBad + kBad + kBad + "A" + kBad);
    CHECK(repairedUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                       "A") == kBad + kBad + kBad + kBad + "A");
    CHECK(repairedUtf8("\xE2\x82") == kBad);
    CHECK(repairedUtf8("").empty());
}

TEST_CASE("taking what is complete from a growing text equals repairing it at once, for random bytes") {
    test::Rng rng(13);
    for (int trial = 0; trial < 3000; ++trial) {
        std::string text;
        for (int64_t i = rng.integer(0, 30); i > 0; --i) {
            if (rng.integer(0, 2) == 0) {
                text += static_cast<char>(rng.next());
            } else {
                appendUtf8(text, static_cast<char32_t>(rng.integer(0x20, 0xD7FF)));
            }
        }
        std::string pending;
        std::string streamed;
        for (size_t i = 0; i < text.size();) {
            const auto part = static_cast<size_t>(rng.integer(1, 4));
            pending += text.substr(i, part);
            i += part;
            const std::string complete = takeComplete(pending);
            REQUIRE(repairedUtf8(complete) == complete);
            streamed += complete;
        }
        REQUIRE(streamed + repairedUtf8(pending) == repairedUtf8(text));
    }
}

TEST_CASE("the byte alphabet is GPT-2's: 256 different characters, and back") {
    std::set<char32_t> characters;
    std::string all;
    for (unsigned byte = 0; byte < 256; ++byte) {
        characters.insert(byteToCharacter(static_cast<uint8_t>(byte)));
        appendUtf8(all, byteToCharacter(static_cast<uint8_t>(byte)));
    }
    CHECK(characters.size() == 256);
    CHECK(byteToCharacter(' ') == 0x120);
    CHECK(byteToCharacter('\n') == 0x10A);
    CHECK(byteToCharacter(0xAD) == 0x143);
    const auto bytes = bytesOfToken(all);
    REQUIRE(bytes);
    for (unsigned byte = 0; byte < 256; ++byte) REQUIRE(static_cast<uint8_t>((*bytes)[byte]) == byte);
    CHECK_FALSE(bytesOfToken(" "));
    CHECK_FALSE(bytesOfToken("\xE2\x96\x81"));
}
