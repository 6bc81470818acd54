#pragma once
// Element types of tensors in files, under the names the safetensors format gives them.

#include <cstdint>
#include <optional>
#include <string_view>

namespace vulcat::format {

enum class DType : uint8_t { Bool, U8, I8, F8E5M2, F8E4M3, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64 };

/// Bytes of one element: 1, 2, 4 or 8.
uint64_t dtypeBytes(DType dtype);

/// The name in a safetensors header, e.g. "BF16".
std::string_view dtypeName(DType dtype);

/// The type of that name, or nothing for a name that is not known.
std::optional<DType> parseDType(std::string_view name);

}  // namespace vulcat::format
