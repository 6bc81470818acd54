#pragma once
// Rotary angles (Su et al., arXiv:2104.09864), computed on the host in double: GPU sin and cos of large angles are not
// accurate enough for late positions.

#include "format/model_config.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace vulcat::kernels {

/// The table RopeStore reads: [positions, headDim/2] pairs {cos, sin} of position * frequency_i,
/// frequency_i = theta^(-2i/headDim), rescaled as Llama 3.1 does where `scaling` is given.
/// Precondition: headDim even and >= 2.
std::vector<float> ropeTable(uint32_t headDim, double theta, const std::optional<format::RopeScaling>& scaling,
                             uint32_t positions);

}  // namespace vulcat::kernels
