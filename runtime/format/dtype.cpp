#include "format/dtype.h"

#include <array>

namespace vulcat::format {

namespace {

struct DTypeEntry {
    std::string_view name;
    uint64_t bytes;
};

// In the order of the enumeration.
constexpr std::array<DTypeEntry, 15> kEntries = {{{"BOOL", 1},
                                             {"U8", 1},
                                             {"I8", 1},
                                             {"F8_E5M2", 1},
                                             {"F8_E4M3", 1},
                                             {"U16", 2},
                                             {"I16", 2},
                                             {"F16", 2},
                                             {"BF16", 2},
                                             {"U32", 4},
                                             {"I32", 4},
                                             {"F32", 4},
                                             {"U64", 8},
                                             {"I64", 8},
                                             {"F64", 8}}};

}  // namespace

uint64_t dtypeBytes(DType dtype) {
    return kEntries[static_cast<size_t>(dtype)].bytes;
}

std::string_view dtypeName(DType dtype) {
    return kEntries[static_cast<size_t>(dtype)].name;
}

std::optional<DType> parseDType(std::string_view name) {
    for (size_t i = 0; i < kEntries.size(); ++i) {
        if (kEntries[i].name == name) return static_cast<DType>(i);
    }
    return std::nullopt;
}

}  // namespace vulcat::format
