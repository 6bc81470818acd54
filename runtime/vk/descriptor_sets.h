#pragma once
// Descriptor sets that a recorder writes anew for each recording but allocates once. On Mesa's llvmpipe a set is a mapping of
// memory: allocating and freeing those of a token took 40 us each, and interrupted the threads that compute.

#include "vk/spirv.h"

#include "vk/device.h"

#include <map>
#include <span>
#include <vector>

namespace vulcat::vk {

/// One descriptor a binding, for compute. The caller destroys it.
VkDescriptorSetLayout createSetLayout(Device& device, std::span<const BindingKind> kinds);

/// The device must outlive it.
class DescriptorSets {
  public:
    explicit DescriptorSets(Device& device) : device_(device) {}
    DescriptorSets(const DescriptorSets&) = delete;
    DescriptorSets& operator=(const DescriptorSets&) = delete;

    /// A set whose contents are anything, for pipelines with bindings of these kinds: layouts that are defined alike are
    /// compatible. It is not given out again before the next rewind().
    VkDescriptorSet take(const std::vector<BindingKind>& kinds);
    /// All sets may be given out again: nothing that uses one is under way.
    void rewind();
    /// Destroys everything; in place of a destructor, as an abandoned device must not be touched.
    void release() noexcept;

  private:
    /// Sets of one layout.
    struct Shelf {
        VkDescriptorSetLayout layout = VK_NULL_HANDLE;
        std::vector<VkDescriptorSet> sets;
        size_t taken = 0;
    };

    void grow(Shelf& shelf, std::span<const BindingKind> kinds);

    Device& device_;
    std::map<std::vector<BindingKind>, Shelf> shelves_;
    std::vector<VkDescriptorPool> pools_;
};

}  // namespace vulcat::vk
