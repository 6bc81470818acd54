#pragma once
// The printable stand-ins for bytes in byte-level vocabularies: printable Latin-1 bytes stand for themselves, the other
// 68 for U+0100 onwards in ascending order (GPT-2's table). Private to the floor.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vulcat::text {

/// The character that stands for a byte.
char32_t byteToCharacter(uint8_t byte);

/// The bytes a vocabulary entry stands for, or nothing if it holds a character that stands for none.
std::optional<std::string> bytesOfToken(std::string_view token);

}  // namespace vulcat::text
