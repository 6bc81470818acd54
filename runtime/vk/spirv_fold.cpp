#include "vk/spirv_fold.h"

namespace vulcat::vk {
namespace {

enum Operation : uint32_t {
    OpIAdd = 128,
    OpISub = 130,
    OpIMul = 132,
    OpUDiv = 134,
    OpSDiv = 135,
    OpUMod = 137,
    OpLogicalOr = 166,
    OpLogicalAnd = 167,
    OpIEqual = 170,
    OpINotEqual = 171,
    OpUGreaterThan = 172,
    OpUGreaterThanEqual = 174,
    OpULessThan = 176,
    OpULessThanEqual = 178,
    OpShiftRightLogical = 194,
    OpShiftLeftLogical = 196,
    OpBitwiseAnd = 199,
};

}  // namespace

std::optional<uint32_t> foldSpirv(uint32_t operation, uint32_t a, uint32_t b) {
    switch (operation) {
        case OpIAdd:
            return a + b;
        case OpISub:
            return a - b;
        case OpIMul:
            return a * b;
        case OpUDiv:
        case OpSDiv:
            return b == 0 ? std::nullopt : std::optional(a / b);
        case OpUMod:
            return b == 0 ? std::nullopt : std::optional(a % b);
        case OpLogicalOr:
            return a != 0 || b != 0;
        case OpLogicalAnd:
            return a != 0 && b != 0;
        case OpIEqual:
            return a == b;
        case OpINotEqual:
            return a != b;
        case OpUGreaterThan:
            return a > b;
        case OpUGreaterThanEqual:
            return a >= b;
        case OpULessThan:
            return a < b;
        case OpULessThanEqual:
            return a <= b;
        case OpShiftRightLogical:
            return b > 31 ? 0 : a >> b;
        case OpShiftLeftLogical:
            return b > 31 ? 0 : a << b;
        case OpBitwiseAnd:
            return a & b;
        default:
            return std::nullopt;
    }
}

}  // namespace vulcat::vk
