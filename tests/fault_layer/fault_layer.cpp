// A Vulkan layer that makes the n-th call of a chosen function fail. For vulcat's tests only: it keeps one table of
// functions for the process, so all devices in it come from one driver.
#include "fault_layer.h"

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan_core.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

// clang-format off
#define FAULT_DEVICE_FUNCTIONS(X) \
    X(vkQueueSubmit) X(vkDeviceWaitIdle) X(vkAllocateMemory) X(vkMapMemory) X(vkBindBufferMemory) X(vkCreateBuffer) \
    X(vkCreateBufferView) X(vkCreateFence) X(vkResetFences) X(vkWaitForFences) X(vkGetFenceStatus) \
    X(vkCreateQueryPool) X(vkGetQueryPoolResults) X(vkCreateShaderModule) X(vkCreatePipelineCache) \
    X(vkGetPipelineCacheData) X(vkCreateComputePipelines) X(vkCreatePipelineLayout) X(vkCreateDescriptorSetLayout) \
    X(vkCreateDescriptorPool) X(vkAllocateDescriptorSets) X(vkCreateCommandPool) \
    X(vkResetCommandPool) X(vkAllocateCommandBuffers) X(vkBeginCommandBuffer) X(vkEndCommandBuffer)
#define FAULT_INSTANCE_FUNCTIONS(X) X(vkEnumeratePhysicalDevices) X(vkEnumerateDeviceExtensionProperties)
#define FAULT_CREATE_FUNCTIONS(X) X(vkCreateInstance) X(vkCreateDevice)
#define FAULT_ALL(X) FAULT_DEVICE_FUNCTIONS(X) FAULT_INSTANCE_FUNCTIONS(X) FAULT_CREATE_FUNCTIONS(X)
// clang-format on

namespace {

enum Index : uint32_t {
#define X(name) k_##name,
    FAULT_ALL(X)
#undef X
        kFunctions
};

constexpr const char* kNames[] = {
#define X(name) #name,
    FAULT_ALL(X)
#undef X
};

std::array<PFN_vkVoidFunction, kFunctions> next;
std::array<std::atomic<uint64_t>, kFunctions> calls;
std::atomic<int> armed{-1};
std::atomic<uint64_t> armedCall{0};
std::atomic<int> armedKind{FAULT_RESULT};
std::atomic<int32_t> armedResult{0};
std::atomic<bool> fired{false};
std::atomic<bool> lost{false};
std::atomic<bool> hung{false};
std::atomic<VkDevice> device{VK_NULL_HANDLE};
PFN_vkGetInstanceProcAddr nextInstanceProc = nullptr;
PFN_vkGetDeviceProcAddr nextDeviceProc = nullptr;

/// The functions that say so when a device is lost.
bool tellsOfLoss(uint32_t index) {
    return index == k_vkQueueSubmit || index == k_vkDeviceWaitIdle || index == k_vkWaitForFences ||
           index == k_vkGetFenceStatus || index == k_vkGetQueryPoolResults;
}

/// True when the call is answered here, with `result`.
bool intercepts(uint32_t index, VkResult& result) {
    const uint64_t call = ++calls[index];
    if (armed == static_cast<int>(index) && call == armedCall && !fired.exchange(true)) {
        if (armedKind == FAULT_LOST) lost = true;
        if (armedKind == FAULT_HANG) hung = true;
        // What runs is let to its end, as it is on a device that was reset; a hung one ends when the test looks away.
        if (device.load() != VK_NULL_HANDLE && armedKind != FAULT_RESULT) {
            reinterpret_cast<PFN_vkDeviceWaitIdle>(next[k_vkDeviceWaitIdle])(device);
        }
        if (armedKind == FAULT_RESULT) {
            result = static_cast<VkResult>(armedResult.load());
            return true;
        }
    }
    if (lost && tellsOfLoss(index)) {
        result = VK_ERROR_DEVICE_LOST;
        return true;
    }
    if (hung && (index == k_vkWaitForFences || index == k_vkGetFenceStatus)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        result = index == k_vkWaitForFences ? VK_TIMEOUT : VK_NOT_READY;
        return true;
    }
    return false;
}

template <uint32_t index, class Function>
struct Hook;
template <uint32_t index, class... Arguments>
struct Hook<index, VkResult(VKAPI_PTR*)(Arguments...)> {
    using Function = VkResult(VKAPI_PTR*)(Arguments...);
    static VKAPI_ATTR VkResult VKAPI_CALL call(Arguments... arguments) {
        VkResult result = VK_SUCCESS;
        if (intercepts(index, result)) return result;
        return reinterpret_cast<Function>(next[index])(arguments...);
    }
};

VKAPI_ATTR VkResult VKAPI_CALL createInstance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator,
                                              VkInstance* instance) {
    VkResult result = VK_SUCCESS;
    if (intercepts(k_vkCreateInstance, result)) return result;
    auto* link = static_cast<VkLayerInstanceCreateInfo*>(const_cast<void*>(info->pNext));
    while (link != nullptr &&
           !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO && link->function == VK_LAYER_LINK_INFO)) {
        link = static_cast<VkLayerInstanceCreateInfo*>(const_cast<void*>(link->pNext));
    }
    if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
    nextInstanceProc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    const auto create = reinterpret_cast<PFN_vkCreateInstance>(nextInstanceProc(nullptr, "vkCreateInstance"));
    result = create(info, allocator, instance);
    if (result != VK_SUCCESS) return result;
#define X(name) next[k_##name] = nextInstanceProc(*instance, #name);
    FAULT_INSTANCE_FUNCTIONS(X)
#undef X
    next[k_vkCreateDevice] = nextInstanceProc(*instance, "vkCreateDevice");
    return result;
}

VKAPI_ATTR VkResult VKAPI_CALL createDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                                            const VkAllocationCallbacks* allocator, VkDevice* made) {
    VkResult result = VK_SUCCESS;
    if (intercepts(k_vkCreateDevice, result)) return result;
    auto* link = static_cast<VkLayerDeviceCreateInfo*>(const_cast<void*>(info->pNext));
    while (link != nullptr &&
           !(link->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO && link->function == VK_LAYER_LINK_INFO)) {
        link = static_cast<VkLayerDeviceCreateInfo*>(const_cast<void*>(link->pNext));
    }
    if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
    const auto instanceProc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    nextDeviceProc = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    const auto create = reinterpret_cast<PFN_vkCreateDevice>(instanceProc(nullptr, "vkCreateDevice"));
    result = (create != nullptr ? create : reinterpret_cast<PFN_vkCreateDevice>(next[k_vkCreateDevice]))(
        physical, info, allocator, made);
    if (result != VK_SUCCESS) return result;
#define X(name) next[k_##name] = nextDeviceProc(*made, #name);
    FAULT_DEVICE_FUNCTIONS(X)
#undef X
    device = *made;
    lost = false;
    hung = false;
    return result;
}

VKAPI_ATTR void VKAPI_CALL destroyDevice(VkDevice given, const VkAllocationCallbacks* allocator) {
    const auto destroy = reinterpret_cast<PFN_vkDestroyDevice>(nextDeviceProc(given, "vkDestroyDevice"));
    if (given == device) device = VK_NULL_HANDLE;
    destroy(given, allocator);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL getDeviceProcAddr(VkDevice given, const char* name);

PFN_vkVoidFunction hookOf(const char* name, bool instanceToo) {
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0) return reinterpret_cast<PFN_vkVoidFunction>(getDeviceProcAddr);
    if (std::strcmp(name, "vkDestroyDevice") == 0) return reinterpret_cast<PFN_vkVoidFunction>(destroyDevice);
    if (instanceToo) {
        if (std::strcmp(name, "vkCreateInstance") == 0) return reinterpret_cast<PFN_vkVoidFunction>(createInstance);
        if (std::strcmp(name, "vkCreateDevice") == 0) return reinterpret_cast<PFN_vkVoidFunction>(createDevice);
#define X(function)                        \
    if (std::strcmp(name, #function) == 0) \
        return reinterpret_cast<PFN_vkVoidFunction>(Hook<k_##function, PFN_##function>::call);
        FAULT_INSTANCE_FUNCTIONS(X)
    }
    FAULT_DEVICE_FUNCTIONS(X)
#undef X
    return nullptr;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL getDeviceProcAddr(VkDevice given, const char* name) {
    if (const PFN_vkVoidFunction hook = hookOf(name, false)) return hook;
    return nextDeviceProc(given, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL getInstanceProcAddr(VkInstance instance, const char* name) {
    if (std::strcmp(name, "vkGetInstanceProcAddr") == 0) {
        return reinterpret_cast<PFN_vkVoidFunction>(getInstanceProcAddr);
    }
    if (const PFN_vkVoidFunction hook = hookOf(name, true)) return hook;
    return instance == VK_NULL_HANDLE ? nullptr : nextInstanceProc(instance, name);
}

uint32_t indexOf(const char* function) {
    for (uint32_t i = 0; i < kFunctions; ++i) {
        if (std::strcmp(kNames[i], function) == 0) return i;
    }
    return kFunctions;
}

}  // namespace

#define FAULT_EXPORT extern "C" __attribute__((visibility("default")))

FAULT_EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* version);
VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* version) {
    if (version->loaderLayerInterfaceVersion < 2) return VK_ERROR_INITIALIZATION_FAILED;
    version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = getInstanceProcAddr;
    version->pfnGetDeviceProcAddr = getDeviceProcAddr;
    version->pfnGetPhysicalDeviceProcAddr = nullptr;
    return VK_SUCCESS;
}

FAULT_EXPORT void vulcatFaultArm(const char* function, uint64_t n, int kind, int32_t result);
void vulcatFaultArm(const char* function, uint64_t n, int kind, int32_t result) {
    armed = -1;
    fired = false;
    for (auto& count : calls) count = 0;
    armedCall = n;
    armedKind = kind;
    armedResult = result;
    if (function != nullptr) armed = static_cast<int>(indexOf(function));
}

FAULT_EXPORT uint64_t vulcatFaultCount(const char* function);
uint64_t vulcatFaultCount(const char* function) {
    const uint32_t index = indexOf(function);
    return index == kFunctions ? 0 : calls[index].load();
}

FAULT_EXPORT int vulcatFaultFired();
int vulcatFaultFired() {
    return fired ? 1 : 0;
}

FAULT_EXPORT const char* vulcatFaultName(uint32_t index);
const char* vulcatFaultName(uint32_t index) {
    return index < kFunctions ? kNames[index] : nullptr;
}
