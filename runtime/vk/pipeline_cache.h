#pragma once
// The envelope around a driver's pipeline-cache data: drivers have crashed on foreign or damaged data, so it is only handed
// back to the very driver, device and shader modules it came from. A failure to load is a miss, never an error.
//
// Layout, little endian: "VULCATPC", uint32 version, uint32 vendor, uint32 device, uint32 driver version,
// uint8[16] pipeline-cache UUID, uint64 hash of the modules, uint64 payload bytes, uint64 FNV-1a of the payload, payload.

#include "vk/device_info.h"

#include <cstddef>
#include <span>
#include <vector>

namespace vulcat::vk {

/// FNV-1a, 64 bits. Guards against damage and mix-ups, not against an attacker.
uint64_t fnv1a(std::span<const std::byte> bytes, uint64_t start = 0xcbf29ce484222325u);

std::vector<std::byte> wrapPipelineCache(const DeviceInfo& info, uint64_t modulesHash, std::span<const std::byte> payload);

/// The payload inside `blob`, or an empty span when anything at all does not fit.
std::span<const std::byte> unwrapPipelineCache(const DeviceInfo& info, uint64_t modulesHash, std::span<const std::byte> blob);

}  // namespace vulcat::vk
