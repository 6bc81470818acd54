#pragma once
// Vulkan's functions as tables of pointers. One list each for the functions of the loader, of an instance and of a device;
// the tables and their loading are both made from it. To use another function, add one line.

#include "vk/vulkan.h"

// clang-format off
#define VULCAT_VK_GLOBAL_FUNCTIONS(X) \
    X(vkCreateInstance) \
    X(vkEnumerateInstanceVersion) \
    X(vkEnumerateInstanceLayerProperties) \
    X(vkEnumerateInstanceExtensionProperties)

#define VULCAT_VK_INSTANCE_FUNCTIONS(X) \
    X(vkDestroyInstance) \
    X(vkEnumeratePhysicalDevices) \
    X(vkEnumerateDeviceExtensionProperties) \
    X(vkGetPhysicalDeviceProperties) \
    X(vkGetPhysicalDeviceProperties2) \
    X(vkGetPhysicalDeviceFeatures2) \
    X(vkGetPhysicalDeviceMemoryProperties2) \
    X(vkGetPhysicalDeviceFormatProperties) \
    X(vkGetPhysicalDeviceQueueFamilyProperties) \
    X(vkGetPhysicalDeviceQueueFamilyProperties2) \
    X(vkCreateDevice) \
    X(vkGetDeviceProcAddr)

// Null where the driver or the enabled extensions do not have them.
#define VULCAT_VK_OPTIONAL_INSTANCE_FUNCTIONS(X) \
    X(vkCreateDebugUtilsMessengerEXT) \
    X(vkDestroyDebugUtilsMessengerEXT) \
    X(vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)

#define VULCAT_VK_DEVICE_FUNCTIONS(X) \
    X(vkDestroyDevice) \
    X(vkGetDeviceQueue) \
    X(vkQueueSubmit) \
    X(vkDeviceWaitIdle) \
    X(vkAllocateMemory) \
    X(vkFreeMemory) \
    X(vkMapMemory) \
    X(vkBindBufferMemory) \
    X(vkGetBufferMemoryRequirements) \
    X(vkCreateBuffer) \
    X(vkDestroyBuffer) \
    X(vkCreateBufferView) \
    X(vkDestroyBufferView) \
    X(vkCreateFence) \
    X(vkDestroyFence) \
    X(vkResetFences) \
    X(vkWaitForFences) \
    X(vkGetFenceStatus) \
    X(vkCreateQueryPool) \
    X(vkDestroyQueryPool) \
    X(vkGetQueryPoolResults) \
    X(vkCreateShaderModule) \
    X(vkDestroyShaderModule) \
    X(vkCreatePipelineCache) \
    X(vkDestroyPipelineCache) \
    X(vkGetPipelineCacheData) \
    X(vkCreateComputePipelines) \
    X(vkDestroyPipeline) \
    X(vkCreatePipelineLayout) \
    X(vkDestroyPipelineLayout) \
    X(vkCreateDescriptorSetLayout) \
    X(vkDestroyDescriptorSetLayout) \
    X(vkCreateDescriptorPool) \
    X(vkDestroyDescriptorPool) \
    X(vkAllocateDescriptorSets) \
    X(vkUpdateDescriptorSets) \
    X(vkCreateCommandPool) \
    X(vkDestroyCommandPool) \
    X(vkResetCommandPool) \
    X(vkAllocateCommandBuffers) \
    X(vkBeginCommandBuffer) \
    X(vkEndCommandBuffer) \
    X(vkCmdBindPipeline) \
    X(vkCmdBindDescriptorSets) \
    X(vkCmdPushConstants) \
    X(vkCmdDispatch) \
    X(vkCmdDispatchBase) \
    X(vkCmdCopyBuffer) \
    X(vkCmdFillBuffer) \
    X(vkCmdPipelineBarrier) \
    X(vkCmdResetQueryPool) \
    X(vkCmdWriteTimestamp)

// The name of Vulkan 1.2; older devices have it as vkGetBufferDeviceAddressKHR. Null without the feature.
#define VULCAT_VK_OPTIONAL_DEVICE_FUNCTIONS(X) \
    X(vkGetBufferDeviceAddress)
// clang-format on

namespace vulcat::vk {

#define VULCAT_VK_MEMBER(name) PFN_##name name = nullptr;
struct GlobalDispatch {
    VULCAT_VK_GLOBAL_FUNCTIONS(VULCAT_VK_MEMBER)
};
struct InstanceDispatch {
    VULCAT_VK_INSTANCE_FUNCTIONS(VULCAT_VK_MEMBER)
    VULCAT_VK_OPTIONAL_INSTANCE_FUNCTIONS(VULCAT_VK_MEMBER)
};
struct DeviceDispatch {
    VULCAT_VK_DEVICE_FUNCTIONS(VULCAT_VK_MEMBER)
    VULCAT_VK_OPTIONAL_DEVICE_FUNCTIONS(VULCAT_VK_MEMBER)
};
#undef VULCAT_VK_MEMBER

/// Each throws Error(NoDevice) naming the first function that is missing: the loader or driver is older than Vulkan 1.1.
GlobalDispatch loadGlobal(PFN_vkGetInstanceProcAddr getInstanceProcAddr);
InstanceDispatch loadInstance(PFN_vkGetInstanceProcAddr getInstanceProcAddr, VkInstance instance);
DeviceDispatch loadDevice(PFN_vkGetDeviceProcAddr getDeviceProcAddr, VkDevice device);

}  // namespace vulcat::vk
