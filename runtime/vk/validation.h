#pragma once
// What turns the Khronos validation layer on for an instance: core checks, synchronisation validation that looks at
// what shaders access, and a messenger.

#include "vk/dispatch.h"

#include <vector>

namespace vulcat::vk {

class ValidationRequest {
  public:
    /// Throws Error(Unsupported) when the layer is not installed.
    ValidationRequest(const GlobalDispatch& global, PFN_vkDebugUtilsMessengerCallbackEXT callback, void* user);
    ValidationRequest(const ValidationRequest&) = delete;
    ValidationRequest& operator=(const ValidationRequest&) = delete;

    static constexpr const char* kLayer = "VK_LAYER_KHRONOS_validation";
    /// Instance extensions to enable.
    const std::vector<const char*>& extensions() const { return extensions_; }
    /// VkInstanceCreateInfo::pNext; valid while this object lives.
    const void* next() const { return next_; }
    const VkDebugUtilsMessengerCreateInfoEXT& messenger() const { return messenger_; }

  private:
    const VkBool32 yes_ = VK_TRUE;
    const VkValidationFeatureEnableEXT synchronisation_ = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkDebugUtilsMessengerCreateInfoEXT messenger_{};
    VkValidationFeaturesEXT features_{};
    VkLayerSettingEXT settings_[2]{};
    VkLayerSettingsCreateInfoEXT settingsInfo_{};
    std::vector<const char*> extensions_;
    const void* next_ = nullptr;
};

}  // namespace vulcat::vk
