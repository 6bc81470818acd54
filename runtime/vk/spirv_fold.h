#pragma once
// Arithmetic of SPIR-V's specialisation constants, as far as sizes of arrays and workgroups use it.

#include <cstdint>
#include <optional>

namespace vulcat::vk {

/// The result of an OpSpecConstantOp with two unsigned or boolean operands (false 0, true 1); nothing where the operation is
/// not known, or divides by zero.
std::optional<uint32_t> foldSpirv(uint32_t operation, uint32_t a, uint32_t b);

}  // namespace vulcat::vk
