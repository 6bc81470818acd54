#pragma once
// What the host files of several kernels need to size a dispatch.

#include "vk/device.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

/// Workgroups in a dimension for a kernel that strides over its grid: `wanted` within 1 .. the device's limit.
uint32_t gridSize(const vk::Device& device, size_t dimension, uint64_t wanted);

/// `allowed` for kernels whose workgroup is one subgroup of weightLanes(): without SUBGROUP where those differ.
vk::CapabilitySet laneCapabilities(const vk::Device& device, const vk::CapabilitySet& allowed);

/// `allowed` for kernels that read rows of `width` floats as 128-bit elements: without TEXEL where rows are no
/// multiple.
vk::CapabilitySet rowCapabilities(const vk::CapabilitySet& allowed, uint32_t width);

/// The halves of a device address, for push constants.
inline void setAddress(const vk::BufferView& view, uint32_t& low, uint32_t& high) {
    low = static_cast<uint32_t>(view.address);
    high = static_cast<uint32_t>(view.address >> 32);
}

/// The first rows * width floats of a view. Throws Error(InvalidArgument) when it is shorter or rows is 0.
vk::BufferView floatRows(const vk::BufferView& view, uint32_t rows, uint64_t width);

}  // namespace vulcat::kernels
