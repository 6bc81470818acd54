#include "text/byte_alphabet.h"

#include "text/utf8.h"

#include <array>

namespace vulcat::text {

namespace {

constexpr bool isPrintable(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

constexpr std::array<char32_t, 256> makeCharacters() {
    std::array<char32_t, 256> characters{};
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) characters[byte] = isPrintable(byte) ? char32_t{byte} : next++;
    return characters;
}

constexpr size_t kCharacters = 0x100 + 68;

constexpr std::array<int16_t, kCharacters> makeBytes() {
    std::array<int16_t, kCharacters> bytes{};
    bytes.fill(-1);
    for (unsigned byte = 0; byte < 256; ++byte) bytes[makeCharacters()[byte]] = static_cast<int16_t>(byte);
    return bytes;
}

constexpr std::array<char32_t, 256> kByteCharacters = makeCharacters();
constexpr std::array<int16_t, kCharacters> kCharacterBytes = makeBytes();

}  // namespace

char32_t byteToCharacter(uint8_t byte) {
    return kByteCharacters[byte];
}

std::optional<std::string> bytesOfToken(std::string_view token) {
    std::string bytes;
    while (!token.empty()) {
        const Utf8Step step = firstCharacter(token);
        if (step.kind != Utf8Kind::Whole || step.character >= kCharacters) return std::nullopt;
        const int16_t byte = kCharacterBytes[step.character];
        if (byte < 0) return std::nullopt;
        bytes += static_cast<char>(byte);
        token.remove_prefix(step.length);
    }
    return bytes;
}

}  // namespace vulcat::text
