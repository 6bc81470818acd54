#pragma once
// The numbers of a device that kernels and memory must respect. They can be lowered when a Device is made, so that the
// paths for small devices are tested on large ones.

#include <array>
#include <cstdint>

namespace vulcat::vk {

struct Limits {
    uint64_t maxStorageRange = 0;  ///< bytes one storage buffer binding may span
    uint64_t maxAllocation = 0;    ///< bytes of one memory allocation
    uint64_t heapBytes = 0;        ///< largest heap for Device memory; when lowered, a budget for all Device allocations
    uint64_t maxTexelElements = 0;  ///< 16-byte elements of one uniform texel buffer
    std::array<uint32_t, 3> maxWorkgroupCount{};
    std::array<uint32_t, 3> maxWorkgroupSize{};
    uint32_t maxWorkgroupInvocations = 0;
    uint32_t maxSharedBytes = 0;
    uint32_t maxStorageBuffers = 0;  ///< per compute stage
    uint32_t maxPushBytes = 0;
    uint32_t storageAlignment = 1;  ///< of offsets of storage and texel views, bytes; the larger of the two, at least 16
    uint32_t subgroupSize = 0;      ///< the default one; facts, lowerTo() leaves the three subgroup numbers alone
    uint32_t minSubgroupSize = 0;
    uint32_t maxSubgroupSize = 0;
    double timestampPeriodNs = 0;    ///< 0: no timestamps on the queue
    uint64_t timestampMask = 0;  ///< the bits of a timestamp that count; lowered to 0: no timestamps

    /// No limit at all: what to start from when lowering a few.
    static Limits unlimited();

    /// The stricter of both in every field: the smaller maximum, the larger alignment.
    Limits loweredTo(const Limits& other) const;
};

}  // namespace vulcat::vk
