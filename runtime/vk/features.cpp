#include "vk/features.h"

#include <algorithm>
#include <cstring>

namespace vulcat::vk {

FeatureChain::FeatureChain(uint32_t version, std::span<const std::string> extensions)
    : version_(version), present_(extensions) {
    head_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    void** tail = &head_.pNext;
    const auto link = [&tail](auto& part, VkStructureType type, bool known) {
        part.sType = type;
        if (!known) return;
        *tail = &part;
        tail = &part.pNext;
    };
    const auto knows = [this](uint32_t since, std::string_view extension) { return core(since) || has(extension); };
    link(store16_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, true);
    link(store8_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
         knows(VK_API_VERSION_1_2, VK_KHR_8BIT_STORAGE_EXTENSION_NAME));
    link(small_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
         knows(VK_API_VERSION_1_2, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME));
    link(dot_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
         knows(VK_API_VERSION_1_3, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME));
    link(size_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
         knows(VK_API_VERSION_1_3, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME));
    link(memoryModel_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
         knows(VK_API_VERSION_1_2, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME));
    link(address_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
         knows(VK_API_VERSION_1_2, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME));
    link(coopmat_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
         has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME));
}

bool FeatureChain::has(std::string_view extension) const {
    return std::binary_search(present_.begin(), present_.end(), extension, std::less<>());
}

CapabilitySet FeatureChain::present() const {
    CapabilitySet set;
    const auto add = [&set](Capability bit, bool condition) {
        if (condition) set = set | CapabilitySet{bit};
    };
    add(Capability::Store16, store16_.storageBuffer16BitAccess != 0);
    add(Capability::Store8, store8_.storageBuffer8BitAccess != 0);
    add(Capability::F16, small_.shaderFloat16 != 0);
    add(Capability::I8, small_.shaderInt8 != 0);
    add(Capability::Dot, dot_.shaderIntegerDotProduct != 0);
    add(Capability::Address, address_.bufferDeviceAddress != 0);
    add(Capability::Coopmat, coopmat_.cooperativeMatrix != 0 && memoryModel_.vulkanMemoryModel != 0 &&
                                 memoryModel_.vulkanMemoryModelDeviceScope != 0);
    return set;
}

const void* FeatureChain::copyInto(std::span<uint64_t> storage) const {
    uint64_t* at = storage.data();
    VkBaseOutStructure* last = nullptr;
    const auto copy = [&](const auto& part, bool linked) {
        const size_t words = (sizeof part + sizeof(uint64_t) - 1) / sizeof(uint64_t);
        if (!linked) return true;
        if (static_cast<size_t>(storage.data() + storage.size() - at) < words) return false;
        std::memcpy(at, &part, sizeof part);
        auto* base = reinterpret_cast<VkBaseOutStructure*>(at);
        base->pNext = nullptr;
        if (last != nullptr) last->pNext = base;
        last = base;
        at += words;
        return true;
    };
    const bool fits = copy(head_, true) && copy(store16_, store16_.storageBuffer16BitAccess != 0) &&
                      copy(store8_, store8_.storageBuffer8BitAccess != 0) &&
                      copy(small_, small_.shaderFloat16 != 0 || small_.shaderInt8 != 0) &&
                      copy(dot_, dot_.shaderIntegerDotProduct != 0) && copy(size_, size_.subgroupSizeControl != 0) &&
                      copy(memoryModel_, memoryModel_.vulkanMemoryModel != 0) &&
                      copy(address_, address_.bufferDeviceAddress != 0) &&
                      copy(coopmat_, coopmat_.cooperativeMatrix != 0);
    return fits ? storage.data() : nullptr;
}

void FeatureChain::need(uint32_t coreSince, const char* extension) {
    if (!core(coreSince)) enabledExtensions_.push_back(extension);
}

void FeatureChain::enable(CapabilitySet set, bool sizeControl) {
    enabledExtensions_.clear();
    const bool store8 = set.contains(Capability::Store8);
    const bool f16 = set.contains(Capability::F16);
    const bool i8 = set.contains(Capability::I8);
    const bool dot = set.contains(Capability::Dot);
    const bool address = set.contains(Capability::Address);
    const bool coopmat = set.contains(Capability::Coopmat);
    store16_.storageBuffer16BitAccess = set.contains(Capability::Store16);
    store8_.storageBuffer8BitAccess = store8;
    small_.shaderFloat16 = f16;
    small_.shaderInt8 = i8;
    dot_.shaderIntegerDotProduct = dot;
    size_.subgroupSizeControl = sizeControl;
    size_.computeFullSubgroups = sizeControl;
    memoryModel_.vulkanMemoryModel = coopmat;
    memoryModel_.vulkanMemoryModelDeviceScope = coopmat;  // without it, with the other, no module may use that scope
    address_.bufferDeviceAddress = address;
    // Both stand in the struct as the device has them.
    address_.bufferDeviceAddressCaptureReplay = VK_FALSE;
    address_.bufferDeviceAddressMultiDevice = VK_FALSE;
    coopmat_.cooperativeMatrix = coopmat;
    if (store8) need(VK_API_VERSION_1_2, VK_KHR_8BIT_STORAGE_EXTENSION_NAME);
    if (f16 || i8) need(VK_API_VERSION_1_2, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME);
    if (dot) need(VK_API_VERSION_1_3, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
    if (sizeControl) need(VK_API_VERSION_1_3, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    if (address) need(VK_API_VERSION_1_2, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
    if (coopmat) {
        need(VK_API_VERSION_1_2, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);
        enabledExtensions_.push_back(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    }
    // Vulkan demands that this one is enabled wherever it is present.
    if (has("VK_KHR_portability_subset")) enabledExtensions_.push_back("VK_KHR_portability_subset");
}

}  // namespace vulcat::vk
