#include "kernels/variant.h"

#include "vk/device.h"

#include "base/error.h"

#include <algorithm>

namespace vulcat::kernels {

const Variant& choose(std::span<const Variant> variants, const vk::CapabilitySet& allowed) {
    const Variant* best = nullptr;
    for (const Variant& variant : variants) {
        if (allowed.contains(variant.required) && (best == nullptr || variant.priority > best->priority))
            best = &variant;
    }
    if (best != nullptr) return *best;
    const std::string module = variants.empty() ? std::string("an empty list") : std::string(variants.front().module);
    throw Error(Result::Unsupported, "no variant of " + module + " runs with the capabilities " + allowed.toString());
}

uint32_t defaultLocalSize(const vk::Device& device) {
    const uint32_t subgroup = device.limits().subgroupSize;
    if (device.info().type == vk::DeviceType::Cpu && subgroup >= 4 && subgroup <= 64) return subgroup;
    return 64;
}

uint32_t rowLocalSize(const vk::Device& device) {
    if (device.info().type == vk::DeviceType::Cpu) return defaultLocalSize(device);
    return std::min(device.limits().maxWorkgroupInvocations, 256u);
}

uint32_t weightLanes(const vk::Device& device) {
    const uint32_t subgroup = device.limits().subgroupSize;
    const bool powerOfTwo = (subgroup & (subgroup - 1)) == 0;
    return subgroup >= 4 && subgroup <= 64 && powerOfTwo ? subgroup : 32;
}

}  // namespace vulcat::kernels
