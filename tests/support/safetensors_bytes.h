#pragma once
// Builds *.safetensors files byte by byte, right and wrong ones, without the writer under test.

#include <cstdint>
#include <string>

namespace vulcat::test {

/// Length field, header text, data.
inline std::string safetensorsBytes(const std::string& header, const std::string& data) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i) & 0xFF);
    return bytes + header + data;
}

}  // namespace vulcat::test
