#include "vk/dispatch.h"

#include "base/error.h"

namespace vulcat::vk {
namespace {

template <typename Function>
Function require(PFN_vkVoidFunction function, const char* name) {
    if (function == nullptr) {
        throw Error(Result::NoDevice, std::string("the Vulkan driver lacks ") + name + ": vulcat needs Vulkan 1.1");
    }
    return reinterpret_cast<Function>(function);
}

}  // namespace

#define VULCAT_VK_LOAD(name) table.name = require<PFN_##name>(get(handle, #name), #name);
#define VULCAT_VK_LOAD_OPTIONAL(name) table.name = reinterpret_cast<PFN_##name>(get(handle, #name));
#define VULCAT_VK_LOAD_PROMOTED(name)                                                 \
    VULCAT_VK_LOAD_OPTIONAL(name)                                                     \
    if (table.name == nullptr) table.name = reinterpret_cast<PFN_##name>(get(handle, #name "KHR"));

GlobalDispatch loadGlobal(PFN_vkGetInstanceProcAddr get) {
    const VkInstance handle = VK_NULL_HANDLE;
    GlobalDispatch table;
    VULCAT_VK_GLOBAL_FUNCTIONS(VULCAT_VK_LOAD)
    return table;
}

InstanceDispatch loadInstance(PFN_vkGetInstanceProcAddr get, VkInstance handle) {
    InstanceDispatch table;
    VULCAT_VK_INSTANCE_FUNCTIONS(VULCAT_VK_LOAD)
    VULCAT_VK_OPTIONAL_INSTANCE_FUNCTIONS(VULCAT_VK_LOAD_OPTIONAL)
    return table;
}

DeviceDispatch loadDevice(PFN_vkGetDeviceProcAddr get, VkDevice handle) {
    DeviceDispatch table;
    VULCAT_VK_DEVICE_FUNCTIONS(VULCAT_VK_LOAD)
    VULCAT_VK_OPTIONAL_DEVICE_FUNCTIONS(VULCAT_VK_LOAD_PROMOTED)
    return table;
}

}  // namespace vulcat::vk
