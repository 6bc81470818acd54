#pragma once
// Finds out when a barrier is needed: remembers which ranges were read and written since the last one.

#include "vk/memory.h"

namespace vulcat::vk {

enum class Access : uint8_t { Read, Write, ReadWrite };
enum class Hazards { Tracked, Unchecked };

class HazardTracker {
  public:
    /// Stages that used memory since the last barrier, and how they wrote: the barrier's first scope.
    struct Scope {
        VkPipelineStageFlags stages = 0;
        VkAccessFlags writes = 0;
    };

    /// True when `access` to `view` must not overtake what was noted: read after write, write after read, write after write.
    bool conflicts(const BufferView& view, Access access) const;
    /// Notes an access in COMPUTE_SHADER or TRANSFER stage.
    void note(const BufferView& view, Access access, VkPipelineStageFlagBits stage);
    /// A barrier from scope() to everything later was recorded: nothing noted so far matters any more.
    void clear();

    const Scope& scope() const { return scope_; }

  private:
    struct Range {
        VkBuffer buffer;
        VkDeviceSize begin, end;
        bool written;
    };
    std::vector<Range> ranges_;
    Scope scope_;
};

}  // namespace vulcat::vk
