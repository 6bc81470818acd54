#include "vk/memory_types.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace vulcat::vk {
namespace {

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kHost = kHostMemory;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
// Protected, lazily allocated and AMD's uncached types need more than plain buffers give them.
constexpr VkMemoryPropertyFlags kPlain = kLocal | kHost | kCached;

struct Wish {
    VkMemoryPropertyFlags required;
    VkMemoryPropertyFlags wanted;
    VkMemoryPropertyFlags unwanted;
};

Wish wishFor(MemoryIntent intent, bool maps) {
    switch (intent) {
        case MemoryIntent::Upload:
            return {kHost, 0, kLocal | kCached};
        case MemoryIntent::Readback:
            return {kHost, kCached, kLocal};
        case MemoryIntent::DeviceVisible:
            return {kHost, kLocal, kCached};
        case MemoryIntent::Device:
            break;
    }
    // On a card with its own memory the host-visible part is often a small window: leave it to those who need it.
    return maps ? Wish{kLocal, kHost | kCached, 0} : Wish{kLocal, 0, kHost | kCached};
}

std::vector<uint32_t> typesFor(const VkPhysicalDeviceMemoryProperties& memory, uint32_t allowed, const Wish& wish) {
    std::vector<std::pair<int, uint32_t>> scored;
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
        const VkMemoryPropertyFlags flags = memory.memoryTypes[i].propertyFlags;
        if ((allowed >> i & 1) == 0 || (flags & wish.required) != wish.required || (flags & ~kPlain) != 0) continue;
        scored.emplace_back(std::popcount(flags & wish.unwanted) - std::popcount(flags & wish.wanted), i);
    }
    std::sort(scored.begin(), scored.end());
    std::vector<uint32_t> types;
    for (const auto& item : scored) types.push_back(item.second);
    return types;
}

}  // namespace

std::vector<uint32_t> memoryTypesFor(const DeviceInfo& info, uint32_t allowed, MemoryIntent intent, bool maps) {
    std::vector<uint32_t> types = typesFor(info.memory, allowed, wishFor(intent, maps));
    if (intent != MemoryIntent::Device || info.type != DeviceType::Integrated) return types;
    for (const uint32_t type : typesFor(info.memory, allowed, {0, maps ? kHost : 0, kLocal | kCached})) {
        if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
    }
    return types;
}

}  // namespace vulcat::vk
