#include "vk/check.h"

namespace vulcat::vk {

std::string resultName(VkResult result) {
    switch (result) {
#define VULCAT_NAME(name) \
    case name:            \
        return #name;
        VULCAT_NAME(VK_SUCCESS)
        VULCAT_NAME(VK_NOT_READY)
        VULCAT_NAME(VK_TIMEOUT)
        VULCAT_NAME(VK_INCOMPLETE)
        VULCAT_NAME(VK_ERROR_OUT_OF_HOST_MEMORY)
        VULCAT_NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        VULCAT_NAME(VK_ERROR_INITIALIZATION_FAILED)
        VULCAT_NAME(VK_ERROR_DEVICE_LOST)
        VULCAT_NAME(VK_ERROR_MEMORY_MAP_FAILED)
        VULCAT_NAME(VK_ERROR_LAYER_NOT_PRESENT)
        VULCAT_NAME(VK_ERROR_EXTENSION_NOT_PRESENT)
        VULCAT_NAME(VK_ERROR_FEATURE_NOT_PRESENT)
        VULCAT_NAME(VK_ERROR_INCOMPATIBLE_DRIVER)
        VULCAT_NAME(VK_ERROR_TOO_MANY_OBJECTS)
        VULCAT_NAME(VK_ERROR_FORMAT_NOT_SUPPORTED)
        VULCAT_NAME(VK_ERROR_FRAGMENTED_POOL)
        VULCAT_NAME(VK_ERROR_UNKNOWN)
        VULCAT_NAME(VK_ERROR_OUT_OF_POOL_MEMORY)
        VULCAT_NAME(VK_ERROR_FRAGMENTATION)
        VULCAT_NAME(VK_ERROR_INVALID_SHADER_NV)
#undef VULCAT_NAME
        default:
            return "VkResult(" + std::to_string(static_cast<int>(result)) + ")";
    }
}

static Result resultCode(VkResult result) {
    switch (result) {
        case VK_ERROR_DEVICE_LOST:
            return Result::DeviceLost;
        case VK_ERROR_OUT_OF_HOST_MEMORY:
        case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        case VK_ERROR_OUT_OF_POOL_MEMORY:
        case VK_ERROR_FRAGMENTED_POOL:
        case VK_ERROR_FRAGMENTATION:
        case VK_ERROR_MEMORY_MAP_FAILED:
        case VK_ERROR_TOO_MANY_OBJECTS:
            return Result::OutOfMemory;
        case VK_ERROR_INITIALIZATION_FAILED:
        case VK_ERROR_INCOMPATIBLE_DRIVER:
            return Result::NoDevice;
        case VK_ERROR_LAYER_NOT_PRESENT:
        case VK_ERROR_EXTENSION_NOT_PRESENT:
        case VK_ERROR_FEATURE_NOT_PRESENT:
        case VK_ERROR_FORMAT_NOT_SUPPORTED:
            return Result::Unsupported;
        default:
            return Result::Failure;
    }
}

VkResult check(VkResult result, std::string_view what) {
    if (result >= 0) return result;
    throw Error(resultCode(result), std::string(what) + " failed: " + resultName(result));
}

}  // namespace vulcat::vk
