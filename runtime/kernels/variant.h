#pragma once
// Floor `kernels`: one host file a kernel family. A kernel is constructed when a plan is made, with everything that
// decides its pipelines; `record()` is const and only dispatches.
//
// This file is the one home of kernel choice. A variant is a shader module with the capabilities it needs and a
// priority; `choose` takes the best one whose needs are met. A caller may narrow the set of capabilities, so that
// tests walk every variant on every device.

#include "vk/capabilities.h"

#include <cstdint>
#include <span>

namespace vulcat::vk {
class Device;
}

namespace vulcat::kernels {

struct Variant {
    const char* module;          ///< name in the shader table
    vk::CapabilitySet required;  ///< the empty set is BASE: runs on every device
    int priority;                ///< the highest satisfied one is taken
};

/// The variant of highest priority whose requirements `allowed` contains.
/// Throws Error(Unsupported) when there is none; a list that holds a BASE variant never does.
const Variant& choose(std::span<const Variant> variants, const vk::CapabilitySet& allowed);

/// Invocations of a workgroup that work well on this device when the algorithm leaves it open: the subgroup size on a
/// CPU, where the subgroups of a workgroup run one after the other and a barrier is dear, 64 on a GPU.
uint32_t defaultLocalSize(const vk::Device& device);

/// The same for a kernel whose workgroup walks one row: on a GPU 256 where it has so many, since what they do for each element
/// is little beside the time a round takes to come from memory.
uint32_t rowLocalSize(const vk::Device& device);

/// Rows of a weight tile, one an invocation: the subgroup size where it is known and between 4 and 64, else 32.
/// Every LinearWeights of a device is laid out with it, and every linear kernel runs with it as its local size.
uint32_t weightLanes(const vk::Device& device);

}  // namespace vulcat::kernels
