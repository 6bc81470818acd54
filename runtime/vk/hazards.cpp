#include "vk/hazards.h"

namespace vulcat::vk {
namespace {

// Keeps the search short: past this many ranges a barrier is cheaper than looking.
constexpr size_t kMaxRanges = 256;

}  // namespace

bool HazardTracker::conflicts(const BufferView& view, Access access) const {
    if (ranges_.size() >= kMaxRanges) return true;
    const VkDeviceSize begin = view.offset;
    const VkDeviceSize end = view.offset + view.size;
    for (const Range& range : ranges_) {
        const bool overlaps = range.buffer == view.buffer && range.begin < end && begin < range.end;
        if (overlaps && (range.written || access != Access::Read)) return true;
    }
    return false;
}

void HazardTracker::note(const BufferView& view, Access access, VkPipelineStageFlagBits stage) {
    const bool written = access != Access::Read;
    scope_.stages |= static_cast<VkPipelineStageFlags>(stage);
    if (written)
        scope_.writes |=
            stage == VK_PIPELINE_STAGE_TRANSFER_BIT ? VK_ACCESS_TRANSFER_WRITE_BIT : VK_ACCESS_SHADER_WRITE_BIT;
    ranges_.push_back({view.buffer, view.offset, view.offset + view.size, written});
}

void HazardTracker::clear() {
    ranges_.clear();
    scope_ = {};
}

}  // namespace vulcat::vk
