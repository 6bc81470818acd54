#include "kernels/launch.h"

#include "kernels/variant.h"

#include "base/checked.h"

#include <algorithm>

namespace vulcat::kernels {

uint32_t gridSize(const vk::Device& device, size_t dimension, uint64_t wanted) {
    const uint64_t most = device.limits().maxWorkgroupCount[dimension];
    return static_cast<uint32_t>(std::clamp<uint64_t>(wanted, 1, most));
}

vk::CapabilitySet laneCapabilities(const vk::Device& device, const vk::CapabilitySet& allowed) {
    if (weightLanes(device) == device.limits().subgroupSize) return allowed;
    return allowed - vk::CapabilitySet{vk::Capability::Subgroup};
}

vk::CapabilitySet rowCapabilities(const vk::CapabilitySet& allowed, uint32_t width) {
    return width % 4 == 0 ? allowed : allowed - vk::CapabilitySet{vk::Capability::Texel};
}

vk::BufferView floatRows(const vk::BufferView& view, uint32_t rows, uint64_t width) {
    if (rows == 0) throw Error(Result::InvalidArgument, "a kernel needs at least one row");
    return view.part(0,
                     checkedMultiply(checkedMultiply(rows, width, "a float matrix"), sizeof(float), "a float matrix"));
}

}  // namespace vulcat::kernels
