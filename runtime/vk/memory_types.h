#pragma once
// Which memory types serve a purpose on a device: pure, so that layouts of devices that are not here can be tested.

#include "vk/device_info.h"

#include <cstdint>
#include <vector>

namespace vulcat::vk {

enum class MemoryIntent {
    Device,         ///< fast for the GPU; mapped only where host and device share memory
    Upload,         ///< the host writes once, the GPU reads once
    Readback,       ///< the GPU writes, the host reads; cached where there is such memory
    DeviceVisible,  ///< small, written by the host often and read by the GPU: device-local and mapped if possible
};

/// Indices of info.memory's types that satisfy the intent, the best first; `allowed`: bits of those that the resource can have.
/// `maps`: views of intent Device are mapped. An integrated GPU, all of whose memory is the machine's, gets for Device what is
/// not called local after what is: often only a few hundred megabytes are, set aside by the firmware.
std::vector<uint32_t> memoryTypesFor(const DeviceInfo& info, uint32_t allowed, MemoryIntent intent, bool maps);

constexpr VkMemoryPropertyFlags kHostMemory = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

}  // namespace vulcat::vk
