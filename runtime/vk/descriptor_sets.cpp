#include "vk/descriptor_sets.h"

#include "vk/check.h"

#include <algorithm>

namespace vulcat::vk {
namespace {

constexpr uint32_t kFewestSets = 8;  // of a pool
constexpr uint32_t kMostSets = 256;

VkDescriptorType descriptorType(BindingKind kind) {
    return kind == BindingKind::Storage ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
}

VkDescriptorPool createPool(Device& device, std::span<const BindingKind> kinds, uint32_t sets) {
    std::vector<VkDescriptorPoolSize> sizes;
    for (const BindingKind kind : {BindingKind::Storage, BindingKind::UniformTexel}) {
        const auto count = static_cast<uint32_t>(std::count(kinds.begin(), kinds.end(), kind));
        if (count > 0) sizes.push_back({descriptorType(kind), count * sets});
    }
    VkDescriptorPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    info.maxSets = sets;
    info.poolSizeCount = static_cast<uint32_t>(sizes.size());
    info.pPoolSizes = sizes.data();
    VkDescriptorPool pool = VK_NULL_HANDLE;
    check(device.dispatch().vkCreateDescriptorPool(device.handle(), &info, device.allocator(), &pool),
          "creating a descriptor pool");
    return pool;
}

}  // namespace

VkDescriptorSetLayout createSetLayout(Device& device, std::span<const BindingKind> kinds) {
    std::vector<VkDescriptorSetLayoutBinding> bindings(kinds.size());
    for (size_t i = 0; i < bindings.size(); ++i) {
        bindings[i] = {static_cast<uint32_t>(i), descriptorType(kinds[i]), 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
    }
    VkDescriptorSetLayoutCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    info.bindingCount = static_cast<uint32_t>(bindings.size());
    info.pBindings = bindings.data();
    VkDescriptorSetLayout layout = VK_NULL_HANDLE;
    check(device.dispatch().vkCreateDescriptorSetLayout(device.handle(), &info, device.allocator(), &layout),
          "creating a set layout");
    return layout;
}

VkDescriptorSet DescriptorSets::take(const std::vector<BindingKind>& kinds) {
    Shelf& shelf = shelves_[kinds];
    if (shelf.taken == shelf.sets.size()) grow(shelf, kinds);
    return shelf.sets[shelf.taken++];
}

void DescriptorSets::grow(Shelf& shelf, std::span<const BindingKind> kinds) {
    if (shelf.layout == VK_NULL_HANDLE) shelf.layout = createSetLayout(device_, kinds);
    // As many again as there are.
    const auto count = std::clamp(static_cast<uint32_t>(shelf.sets.size()), kFewestSets, kMostSets);
    pools_.reserve(pools_.size() + 1);
    pools_.push_back(createPool(device_, kinds, count));
    const std::vector<VkDescriptorSetLayout> layouts(count, shelf.layout);
    VkDescriptorSetAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    info.descriptorPool = pools_.back();
    info.descriptorSetCount = count;
    info.pSetLayouts = layouts.data();
    std::vector<VkDescriptorSet> sets(count);
    check(device_.dispatch().vkAllocateDescriptorSets(device_.handle(), &info, sets.data()), "allocating descriptor sets");
    shelf.sets.insert(shelf.sets.end(), sets.begin(), sets.end());
}

void DescriptorSets::rewind() {
    for (auto& [kinds, shelf] : shelves_) shelf.taken = 0;
}

void DescriptorSets::release() noexcept {
    const DeviceDispatch& vk = device_.dispatch();
    for (VkDescriptorPool pool : pools_) vk.vkDestroyDescriptorPool(device_.handle(), pool, device_.allocator());
    for (auto& [kinds, shelf] : shelves_)
        vk.vkDestroyDescriptorSetLayout(device_.handle(), shelf.layout, device_.allocator());
    pools_.clear();
    shelves_.clear();
}

}  // namespace vulcat::vk
