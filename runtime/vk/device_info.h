#pragma once
// Everything vulcat knows about a physical device before opening it.

#include "vk/capabilities.h"
#include "vk/dispatch.h"
#include "vk/limits.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace vulcat::vk {

enum class DeviceType { Discrete, Integrated, Virtual, Cpu, Other };

/// "discrete GPU", "integrated GPU", "virtual GPU", "CPU", "other".
const char* toString(DeviceType type);

struct MemoryHeap {
    uint64_t sizeBytes = 0;
    uint64_t budgetBytes =
        0;  ///< what the driver thinks this process may still use (clamped to size); equals size if unknown
    bool deviceLocal = false;
    bool hostVisible = false;
};

/// One cooperative-matrix shape with signed 8-bit factors, 32-bit sums and subgroup scope.
struct CoopmatShape {
    uint32_t m = 0, n = 0, k = 0;
    bool operator==(const CoopmatShape&) const = default;
};

struct DeviceInfo {
    uint32_t index = 0;  ///< position in Instance::physicalDevices()
    VkPhysicalDevice handle = VK_NULL_HANDLE;
    std::string name;
    std::array<uint8_t, 16> uuid{};               ///< the device's, not the driver's
    std::array<uint8_t, 16> pipelineCacheUuid{};  ///< changes when compiled pipelines of the driver become useless
    std::string driverName;                       ///< e.g. "llvmpipe", "radv"; empty if the driver does not say
    std::string driverVersionText;                ///< as the driver writes it
    VkDriverId driverId{};
    uint32_t driverVersion = 0;
    uint32_t vendorId = 0;
    uint32_t deviceId = 0;
    uint32_t apiVersion = 0;
    DeviceType type = DeviceType::Other;

    CapabilitySet capabilities;  ///< what kernels should use by default
    CapabilitySet available;     ///< what would work: adds DOT where it exists but is not accelerated
    Limits limits;
    std::vector<CoopmatShape> coopmatShapes;
    std::vector<MemoryHeap> heaps;
    VkPhysicalDeviceMemoryProperties memory{};
    bool subgroupSizeControl = false;     ///< a pipeline may demand its subgroup size and full subgroups
    std::optional<uint32_t> queueFamily;  ///< the family used: compute without graphics before compute with graphics
    std::string lowPriorityExtension;     ///< to enable for a queue of low global priority; empty: not offered
    std::vector<std::string> extensions;  ///< device extensions present, sorted
    bool workgroupsShare = true;          ///< one may read what another of the same dispatch wrote, given barriers and an atomic
    std::vector<std::string> quirks;      ///< one sentence for each entry of the quirk table that applied
    std::string unusableBecause;          ///< empty: usable

    bool usable() const { return unusableBecause.empty(); }
    bool hasExtension(std::string_view extension) const;
    /// 8-4-4-4-12 lower-case hexadecimal digits.
    std::string uuidText() const;
    /// Host and device share their memory, so Device memory may be mapped and staging copies saved.
    bool unifiedMemory() const { return type == DeviceType::Cpu || type == DeviceType::Integrated; }
    /// Whether memory of intent Device may come from the heap.
    bool offers(const MemoryHeap& heap) const { return heap.deviceLocal || type == DeviceType::Integrated; }
    /// What this process may still use of such heaps.
    uint64_t offeredBytes() const;
};

/// Asks the driver for everything above and applies the quirk table. Never throws for a device that merely lacks
/// something: that becomes `unusableBecause`. `queueFamily`: of a host's queue, instead of the one that suits best.
DeviceInfo describeDevice(const InstanceDispatch& vk, VkPhysicalDevice handle, uint32_t index, uint32_t instanceVersion,
                          std::optional<uint32_t> queueFamily = std::nullopt);

}  // namespace vulcat::vk
