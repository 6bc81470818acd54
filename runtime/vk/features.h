#pragma once
// The chain of feature structs that vulcat asks about and enables: one place says which struct, which extension and
// which Vulkan version belong to a capability. Internal to this floor.

#include "vk/capabilities.h"
#include "vk/vulkan.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::vk {

/// Links the structs that a device of this version with these extensions knows. Points into itself: not movable.
class FeatureChain {
  public:
    /// `version`: the smaller of the device's and the instance's API version. `extensions` is sorted.
    FeatureChain(uint32_t version, std::span<const std::string> extensions);
    FeatureChain(const FeatureChain&) = delete;
    FeatureChain& operator=(const FeatureChain&) = delete;

    VkPhysicalDeviceFeatures2* head() { return &head_; }

    /// After vkGetPhysicalDeviceFeatures2: what the feature bits alone allow; properties and quirks may take more away.
    CapabilitySet present() const;
    bool sizeControlPresent() const { return size_.subgroupSizeControl != 0 && size_.computeFullSubgroups != 0; }

    /// Sets exactly the bits for this set, for vkCreateDevice.
    void enable(CapabilitySet set, bool sizeControl);
    /// Copies the chain, as enable() set it, into the caller's storage and returns its head; null when there is no
    /// room.
    const void* copyInto(std::span<uint64_t> storage) const;
    /// Extensions to enable for what enable() set.
    const std::vector<const char*>& extensions() const { return enabledExtensions_; }

  private:
    bool core(uint32_t since) const { return version_ >= since; }
    bool has(std::string_view extension) const;
    void need(uint32_t coreSince, const char* extension);

    uint32_t version_;
    std::span<const std::string> present_;
    std::vector<const char*> enabledExtensions_;
    VkPhysicalDeviceFeatures2 head_{};
    VkPhysicalDevice16BitStorageFeatures store16_{};
    VkPhysicalDevice8BitStorageFeatures store8_{};
    VkPhysicalDeviceShaderFloat16Int8Features small_{};
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot_{};
    VkPhysicalDeviceSubgroupSizeControlFeatures size_{};
    VkPhysicalDeviceVulkanMemoryModelFeatures memoryModel_{};
    VkPhysicalDeviceBufferDeviceAddressFeatures address_{};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat_{};
};

}  // namespace vulcat::vk
