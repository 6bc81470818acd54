#include "vk/validation.h"

#include "vk/check.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace vulcat::vk {
namespace {

bool layerIsInstalled(const GlobalDispatch& global, std::string_view layer) {
    uint32_t count = 0;
    check(global.vkEnumerateInstanceLayerProperties(&count, nullptr), "listing Vulkan layers");
    std::vector<VkLayerProperties> layers(count);
    check(global.vkEnumerateInstanceLayerProperties(&count, layers.data()), "listing Vulkan layers");
    return std::any_of(layers.begin(), layers.end(), [&](const auto& item) { return item.layerName == layer; });
}

bool layerHasExtension(const GlobalDispatch& global, const char* layer, std::string_view extension) {
    uint32_t count = 0;
    check(global.vkEnumerateInstanceExtensionProperties(layer, &count, nullptr), "listing a layer's extensions");
    std::vector<VkExtensionProperties> extensions(count);
    check(global.vkEnumerateInstanceExtensionProperties(layer, &count, extensions.data()), "listing a layer's extensions");
    return std::any_of(extensions.begin(), extensions.end(),
                       [&](const auto& item) { return item.extensionName == extension; });
}

}  // namespace

ValidationRequest::ValidationRequest(const GlobalDispatch& global, PFN_vkDebugUtilsMessengerCallbackEXT callback,
                                     void* user) {
    if (!layerIsInstalled(global, kLayer)) {
        throw Error(Result::Unsupported,
                    std::string(kLayer) + " is not installed (Debian: apt-get install vulkan-validationlayers)");
    }
    messenger_.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
    messenger_.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    messenger_.messageType =
        VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
    messenger_.pfnUserCallback = callback;
    messenger_.pUserData = user;
    extensions_.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    // Both structs end in the messenger, which so hears of vkCreateInstance and vkDestroyInstance themselves.
    if (layerHasExtension(global, kLayer, VK_EXT_LAYER_SETTINGS_EXTENSION_NAME)) {
        // Since 1.3.29x hazards between dispatches are found only with the heuristic, off by default; earlier
        // layers looked at shaders always.
        settings_[0] = {kLayer, "validate_sync", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1, &yes_};
        settings_[1] = {kLayer, "syncval_shader_accesses_heuristic", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1, &yes_};
        settingsInfo_.sType = VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT;
        settingsInfo_.pNext = &messenger_;
        settingsInfo_.settingCount = 2;
        settingsInfo_.pSettings = settings_;
        extensions_.push_back(VK_EXT_LAYER_SETTINGS_EXTENSION_NAME);
        next_ = &settingsInfo_;
    } else {
        features_.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
        features_.pNext = &messenger_;
        features_.enabledValidationFeatureCount = 1;
        features_.pEnabledValidationFeatures = &synchronisation_;
        extensions_.push_back(VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);
        next_ = &features_;
    }
}

}  // namespace vulcat::vk
