#pragma once
// UTF-8 of any origin. A broken sequence is replaced as Unicode recommends: one U+FFFD for each maximal beginning of a
// character that breaks off. Private to the floor.

#include <cstdint>
#include <string>
#include <string_view>

namespace vulcat::text {

enum class Utf8Kind : uint8_t {
    Whole,   ///< one well-formed character
    Broken,  ///< bytes that no continuation can make a character
    Open,    ///< the text ends inside a character that more bytes could complete
};

struct Utf8Step {
    size_t length = 0;  ///< bytes of the character, or of the broken or open part; at least 1
    Utf8Kind kind = Utf8Kind::Whole;
    char32_t character = 0;  ///< for Whole
};

/// Looks at the first character. Precondition: text is not empty.
Utf8Step firstCharacter(std::string_view text);

/// Moves all that is decided from `pending` to the result; an open sequence at the end stays behind.
std::string takeComplete(std::string& pending);

/// The text with every broken part replaced; `text` itself when it is well-formed.
std::string repairedUtf8(std::string_view text);

/// Unicode's White_Space.
bool isSpace(char32_t character);

/// Appends the character as UTF-8.
void appendUtf8(std::string& text, char32_t character);

}  // namespace vulcat::text
