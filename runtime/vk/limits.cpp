#include "vk/limits.h"

#include <algorithm>
#include <limits>

namespace vulcat::vk {

Limits Limits::unlimited() {
    constexpr uint32_t kMax32 = std::numeric_limits<uint32_t>::max();
    constexpr uint64_t kMax64 = std::numeric_limits<uint64_t>::max();
    Limits limits;
    limits.maxStorageRange = kMax64;
    limits.maxAllocation = kMax64;
    limits.heapBytes = kMax64;
    limits.maxTexelElements = kMax64;
    limits.maxWorkgroupCount = {kMax32, kMax32, kMax32};
    limits.maxWorkgroupSize = {kMax32, kMax32, kMax32};
    limits.maxWorkgroupInvocations = kMax32;
    limits.maxSharedBytes = kMax32;
    limits.maxStorageBuffers = kMax32;
    limits.maxPushBytes = kMax32;
    limits.timestampMask = kMax64;
    return limits;
}

Limits Limits::loweredTo(const Limits& other) const {
    Limits result = *this;
    const auto lower = [](auto& value, auto bound) { value = std::min(value, bound); };
    lower(result.maxStorageRange, other.maxStorageRange);
    lower(result.maxAllocation, other.maxAllocation);
    lower(result.heapBytes, other.heapBytes);
    lower(result.maxTexelElements, other.maxTexelElements);
    for (size_t i = 0; i < 3; ++i) {
        lower(result.maxWorkgroupCount[i], other.maxWorkgroupCount[i]);
        lower(result.maxWorkgroupSize[i], other.maxWorkgroupSize[i]);
    }
    lower(result.maxWorkgroupInvocations, other.maxWorkgroupInvocations);
    lower(result.maxSharedBytes, other.maxSharedBytes);
    lower(result.maxStorageBuffers, other.maxStorageBuffers);
    lower(result.maxPushBytes, other.maxPushBytes);
    result.timestampMask &= other.timestampMask;
    if (result.timestampMask == 0) result.timestampPeriodNs = 0;
    result.storageAlignment = std::max(result.storageAlignment, other.storageAlignment);
    return result;
}

}  // namespace vulcat::vk
