#include "vk/device_info.h"

#include "vk/check.h"
#include "vk/features.h"
#include "vk/quirks.h"

#include <algorithm>
#include <cstring>

namespace vulcat::vk {
namespace {

// A texel buffer must hold a useful slice of a weight matrix: 2^24 elements are 256 MiB.
constexpr uint64_t kMinTexelElements = 1u << 24;
// View offsets are multiples of a uvec4, so that every kernel may load 128 bits.
constexpr uint64_t kMinViewAlignment = 16;

template <typename T>
T makeStruct(VkStructureType type, void* next = nullptr) {
    T value{};
    value.sType = type;
    value.pNext = next;
    return value;
}

DeviceType deviceType(VkPhysicalDeviceType type) {
    switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
            return DeviceType::Discrete;
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
            return DeviceType::Integrated;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
            return DeviceType::Virtual;
        case VK_PHYSICAL_DEVICE_TYPE_CPU:
            return DeviceType::Cpu;
        default:
            return DeviceType::Other;
    }
}

void readExtensions(const InstanceDispatch& vk, DeviceInfo& info) {
    uint32_t count = 0;
    check(vk.vkEnumerateDeviceExtensionProperties(info.handle, nullptr, &count, nullptr), "listing device extensions");
    std::vector<VkExtensionProperties> properties(count);
    check(vk.vkEnumerateDeviceExtensionProperties(info.handle, nullptr, &count, properties.data()),
          "listing device extensions");
    for (uint32_t i = 0; i < count; ++i) info.extensions.emplace_back(properties[i].extensionName);
    std::sort(info.extensions.begin(), info.extensions.end());
}

void readLimits(const VkPhysicalDeviceLimits& from, const VkPhysicalDeviceMaintenance3Properties& maintenance,
                Limits& to) {
    to.maxStorageRange = from.maxStorageBufferRange;
    to.maxAllocation = maintenance.maxMemoryAllocationSize;
    to.maxTexelElements = from.maxTexelBufferElements;
    for (size_t i = 0; i < 3; ++i) {
        to.maxWorkgroupCount[i] = from.maxComputeWorkGroupCount[i];
        to.maxWorkgroupSize[i] = from.maxComputeWorkGroupSize[i];
    }
    to.maxWorkgroupInvocations = from.maxComputeWorkGroupInvocations;
    to.maxSharedBytes = from.maxComputeSharedMemorySize;
    to.maxStorageBuffers = from.maxPerStageDescriptorStorageBuffers;
    to.maxPushBytes = from.maxPushConstantsSize;
    // All three are powers of two, so the largest serves both kinds of view.
    to.storageAlignment = static_cast<uint32_t>(std::max(
        {from.minStorageBufferOffsetAlignment, from.minTexelBufferOffsetAlignment, VkDeviceSize{kMinViewAlignment}}));
    to.timestampPeriodNs = static_cast<double>(from.timestampPeriod);
}

void readQueueFamily(const InstanceDispatch& vk, std::optional<uint32_t> given, DeviceInfo& info) {
    uint32_t count = 0;
    vk.vkGetPhysicalDeviceQueueFamilyProperties(info.handle, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vk.vkGetPhysicalDeviceQueueFamilyProperties(info.handle, &count, families.data());
    if (given && *given < count) info.queueFamily = given;
    // A family without graphics does not queue behind what the desktop draws.
    for (const bool graphics : {false, true}) {
        for (uint32_t i = 0; i < count && !info.queueFamily; ++i) {
            const VkQueueFlags flags = families[i].queueFlags;
            const bool fits = (flags & VK_QUEUE_COMPUTE_BIT) != 0 && ((flags & VK_QUEUE_GRAPHICS_BIT) != 0) == graphics;
            if (fits && families[i].queueCount > 0) info.queueFamily = i;
        }
    }
    const uint32_t bits = info.queueFamily ? families[*info.queueFamily].timestampValidBits : 0;
    info.limits.timestampMask = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    if (bits == 0) info.limits.timestampPeriodNs = 0;
}

/// Which extension, if any, gives a queue of the chosen family a low global priority.
void readGlobalPriority(const InstanceDispatch& vk, DeviceInfo& info) {
    const bool khr = info.hasExtension(VK_KHR_GLOBAL_PRIORITY_EXTENSION_NAME);
    const bool ext = info.hasExtension(VK_EXT_GLOBAL_PRIORITY_EXTENSION_NAME) &&
                     info.hasExtension(VK_EXT_GLOBAL_PRIORITY_QUERY_EXTENSION_NAME);
    if ((!khr && !ext) || !info.queueFamily) return;
    uint32_t count = 0;
    vk.vkGetPhysicalDeviceQueueFamilyProperties2(info.handle, &count, nullptr);
    std::vector<VkQueueFamilyProperties2> families(
        count, makeStruct<VkQueueFamilyProperties2>(VK_STRUCTURE_TYPE_QUEUE_FAMILY_PROPERTIES_2));
    auto offered = makeStruct<VkQueueFamilyGlobalPriorityPropertiesKHR>(
        VK_STRUCTURE_TYPE_QUEUE_FAMILY_GLOBAL_PRIORITY_PROPERTIES_KHR);
    if (*info.queueFamily >= count) return;
    families[*info.queueFamily].pNext = &offered;
    vk.vkGetPhysicalDeviceQueueFamilyProperties2(info.handle, &count, families.data());
    auto* end = offered.priorities + std::min<uint32_t>(offered.priorityCount, VK_MAX_GLOBAL_PRIORITY_SIZE_KHR);
    if (std::find(offered.priorities, end, VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR) == end) return;
    info.lowPriorityExtension = khr ? VK_KHR_GLOBAL_PRIORITY_EXTENSION_NAME : VK_EXT_GLOBAL_PRIORITY_EXTENSION_NAME;
}

void readMemory(const InstanceDispatch& vk, DeviceInfo& info) {
    auto budget = makeStruct<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
    auto memory = makeStruct<VkPhysicalDeviceMemoryProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2);
    const bool knowsBudget = info.hasExtension(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    if (knowsBudget) memory.pNext = &budget;
    vk.vkGetPhysicalDeviceMemoryProperties2(info.handle, &memory);
    info.memory = memory.memoryProperties;
    for (uint32_t i = 0; i < info.memory.memoryHeapCount; ++i) {
        const VkMemoryHeap& heap = info.memory.memoryHeaps[i];
        MemoryHeap entry;
        entry.sizeBytes = heap.size;
        // Drivers have reported budgets above the heap: a budget is a hint, never more than the heap.
        const VkDeviceSize whole = knowsBudget ? std::min(budget.heapBudget[i], heap.size) : heap.size;
        const VkDeviceSize used = knowsBudget ? budget.heapUsage[i] : 0;  // a host's textures, for instance
        entry.budgetBytes = whole - std::min(whole, used);
        entry.deviceLocal = (heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0;
        if (info.offers(entry)) info.limits.heapBytes = std::max(info.limits.heapBytes, heap.size);
        info.heaps.push_back(entry);
    }
    for (uint32_t i = 0; i < info.memory.memoryTypeCount; ++i) {
        const VkMemoryType& type = info.memory.memoryTypes[i];
        if ((type.propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0)
            info.heaps[type.heapIndex].hostVisible = true;
    }
}

void readCoopmatShapes(const InstanceDispatch& vk, DeviceInfo& info) {
    const auto query = vk.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR;
    if (query == nullptr || !info.hasExtension(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME)) return;
    uint32_t count = 0;
    check(query(info.handle, &count, nullptr), "listing cooperative-matrix shapes");
    std::vector<VkCooperativeMatrixPropertiesKHR> shapes(
        count, makeStruct<VkCooperativeMatrixPropertiesKHR>(VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR));
    check(query(info.handle, &count, shapes.data()), "listing cooperative-matrix shapes");
    // Sums become floats in matrices of the same shape.
    const auto knowsFloats = [&](const VkCooperativeMatrixPropertiesKHR& wanted) {
        return std::any_of(shapes.begin(), shapes.end(), [&](const VkCooperativeMatrixPropertiesKHR& shape) {
            return shape.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && shape.scope == VK_SCOPE_SUBGROUP_KHR &&
                   shape.MSize == wanted.MSize && shape.NSize == wanted.NSize;
        });
    };
    for (uint32_t i = 0; i < count; ++i) {
        const VkCooperativeMatrixPropertiesKHR& shape = shapes[i];
        const bool fits = shape.AType == VK_COMPONENT_TYPE_SINT8_KHR && shape.BType == VK_COMPONENT_TYPE_SINT8_KHR &&
                          shape.CType == VK_COMPONENT_TYPE_SINT32_KHR &&
                          shape.ResultType == VK_COMPONENT_TYPE_SINT32_KHR && shape.scope == VK_SCOPE_SUBGROUP_KHR &&
                          shape.saturatingAccumulation == VK_FALSE;
        if (fits && knowsFloats(shape)) info.coopmatShapes.push_back({shape.MSize, shape.NSize, shape.KSize});
    }
}

bool texelWorks(const InstanceDispatch& vk, const DeviceInfo& info) {
    VkFormatProperties format{};
    vk.vkGetPhysicalDeviceFormatProperties(info.handle, VK_FORMAT_R32G32B32A32_UINT, &format);
    return (format.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT) != 0 &&
           info.limits.maxTexelElements >= kMinTexelElements;
}

/// The property structs of vkGetPhysicalDeviceProperties2 that matter here, linked where the device knows them.
struct Properties {
    VkPhysicalDeviceProperties2 head =
        makeStruct<VkPhysicalDeviceProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2);
    VkPhysicalDeviceIDProperties id =
        makeStruct<VkPhysicalDeviceIDProperties>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES);
    VkPhysicalDeviceMaintenance3Properties maintenance =
        makeStruct<VkPhysicalDeviceMaintenance3Properties>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES);
    VkPhysicalDeviceSubgroupProperties subgroup =
        makeStruct<VkPhysicalDeviceSubgroupProperties>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
    VkPhysicalDeviceDriverProperties driver =
        makeStruct<VkPhysicalDeviceDriverProperties>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES);
    VkPhysicalDeviceShaderIntegerDotProductProperties dot =
        makeStruct<VkPhysicalDeviceShaderIntegerDotProductProperties>(
            VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES);
    VkPhysicalDeviceSubgroupSizeControlProperties size = makeStruct<VkPhysicalDeviceSubgroupSizeControlProperties>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES);

    Properties(const InstanceDispatch& vk, const DeviceInfo& info, uint32_t version) {
        void** tail = &head.pNext;
        const auto link = [&tail](auto& part, bool known) {
            if (!known) return;
            *tail = &part;
            tail = &part.pNext;
        };
        const auto knows = [&](uint32_t since, const char* extension) {
            return version >= since || info.hasExtension(extension);
        };
        link(id, true);
        link(maintenance, true);
        link(subgroup, true);
        link(driver, knows(VK_API_VERSION_1_2, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME));
        link(dot, knows(VK_API_VERSION_1_3, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME));
        link(size, knows(VK_API_VERSION_1_3, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME));
        vk.vkGetPhysicalDeviceProperties2(info.handle, &head);
    }
    Properties(const Properties&) = delete;
    Properties& operator=(const Properties&) = delete;
};

void readIdentity(const Properties& properties, DeviceInfo& info) {
    const VkPhysicalDeviceProperties& base = properties.head.properties;
    std::memcpy(info.uuid.data(), properties.id.deviceUUID, info.uuid.size());
    std::memcpy(info.pipelineCacheUuid.data(), base.pipelineCacheUUID, info.pipelineCacheUuid.size());
    info.driverId = properties.driver.driverID;
    info.driverName = properties.driver.driverName;
    info.driverVersionText = properties.driver.driverInfo;
    if (info.driverVersionText.empty()) info.driverVersionText = std::to_string(info.driverVersion);
}

void readCapabilities(const InstanceDispatch& vk, const Properties& properties, uint32_t version, DeviceInfo& info) {
    FeatureChain features(version, info.extensions);
    vk.vkGetPhysicalDeviceFeatures2(info.handle, features.head());
    const VkPhysicalDeviceSubgroupProperties& subgroup = properties.subgroup;
    info.subgroupSizeControl = features.sizeControlPresent() &&
                               (properties.size.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    info.limits.subgroupSize = subgroup.subgroupSize;
    // The longest that kernels are made for, where a device has it beside longer ones (Adreno).
    constexpr uint32_t kLongest = 64;
    if (info.subgroupSizeControl && properties.size.minSubgroupSize <= kLongest && subgroup.subgroupSize > kLongest)
        info.limits.subgroupSize = kLongest;
    info.limits.minSubgroupSize = info.subgroupSizeControl ? properties.size.minSubgroupSize : subgroup.subgroupSize;
    info.limits.maxSubgroupSize = info.subgroupSizeControl ? properties.size.maxSubgroupSize : subgroup.subgroupSize;

    CapabilitySet set = features.present();
    constexpr VkSubgroupFeatureFlags kOperations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT |
                                                   VK_SUBGROUP_FEATURE_SHUFFLE_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT;
    if ((subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
        (subgroup.supportedOperations & kOperations) == kOperations && subgroup.subgroupSize >= 4) {
        set = set | CapabilitySet{Capability::Subgroup};
        if (info.limits.minSubgroupSize == 4 && info.limits.maxSubgroupSize == 4)
            set = set | CapabilitySet{Capability::Quads};
        const bool oneSize = features.sizeControlPresent() && properties.size.minSubgroupSize == properties.size.maxSubgroupSize;
        if (info.subgroupSizeControl || oneSize) set = set | CapabilitySet{Capability::Scalars};
    }
    // On a GPU nothing is gained by it, and every allocation would have to ask for an address.
    if (!set.contains(Capability::Subgroup) || info.limits.minSubgroupSize < 8 || info.type != DeviceType::Cpu)
        set = set - CapabilitySet{Capability::Address};
    if (texelWorks(vk, info)) set = set | CapabilitySet{Capability::Texel};
    readCoopmatShapes(vk, info);
    if (info.coopmatShapes.empty()) set = set - CapabilitySet{Capability::Coopmat};
    info.available = set;
    info.capabilities = set;
    if (properties.dot.integerDotProduct4x8BitPackedSignedAccelerated == VK_FALSE) {
        info.capabilities = set - CapabilitySet{Capability::Dot};
    }
}

}  // namespace

const char* toString(DeviceType type) {
    switch (type) {
        case DeviceType::Discrete:
            return "discrete GPU";
        case DeviceType::Integrated:
            return "integrated GPU";
        case DeviceType::Virtual:
            return "virtual GPU";
        case DeviceType::Cpu:
            return "CPU";
        case DeviceType::Other:
            break;
    }
    return "other";
}

bool DeviceInfo::hasExtension(std::string_view extension) const {
    return std::binary_search(extensions.begin(), extensions.end(), extension, std::less<>());
}

std::string DeviceInfo::uuidText() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < uuid.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += kDigits[uuid[i] >> 4];
        text += kDigits[uuid[i] & 15];
    }
    return text;
}

uint64_t DeviceInfo::offeredBytes() const {
    uint64_t sum = 0;
    for (const MemoryHeap& heap : heaps) sum += offers(heap) ? heap.budgetBytes : 0;
    return sum;
}

DeviceInfo describeDevice(const InstanceDispatch& vk, VkPhysicalDevice handle, uint32_t index, uint32_t instanceVersion,
                          std::optional<uint32_t> queueFamily) {
    DeviceInfo info;
    info.index = index;
    info.handle = handle;
    VkPhysicalDeviceProperties base{};
    vk.vkGetPhysicalDeviceProperties(handle, &base);
    info.name = base.deviceName;
    info.type = deviceType(base.deviceType);
    info.vendorId = base.vendorID;
    info.deviceId = base.deviceID;
    info.driverVersion = base.driverVersion;
    info.apiVersion = base.apiVersion;
    if (base.apiVersion < VK_API_VERSION_1_1) {
        info.unusableBecause = "its driver is older than Vulkan 1.1";
        return info;
    }
    const uint32_t version = std::min(base.apiVersion, instanceVersion);
    readExtensions(vk, info);
    const Properties properties(vk, info, version);
    readIdentity(properties, info);
    readLimits(base.limits, properties.maintenance, info.limits);
    readQueueFamily(vk, queueFamily, info);
    readGlobalPriority(vk, info);
    readMemory(vk, info);
    readCapabilities(vk, properties, version, info);
    applyQuirks(info);
    if (!info.queueFamily) info.unusableBecause = "it has no queue for compute work";
    return info;
}

}  // namespace vulcat::vk
