#pragma once
// Time per label from timestamps around each dispatch. Without barriers between them dispatches may overlap on a GPU;
// then the times overlap too and their sum is more than the whole.

#include "vk/device.h"

#include <map>
#include <string>
#include <vector>

namespace vulcat::vk {

class Profiler {
  public:
    struct Entry {
        uint64_t count = 0;    ///< dispatches
        double totalNs = 0;
    };

    /// Measures up to `maxDispatches` dispatches of one recording; later ones run untimed and are counted in dropped().
    /// Throws Error(Unsupported) when the queue has no timestamps.
    explicit Profiler(Device& device, uint32_t maxDispatches = 4096);
    ~Profiler();
    Profiler(const Profiler&) = delete;
    Profiler& operator=(const Profiler&) = delete;

    /// Adds the times of the last submission to entries(). Precondition: it has been waited for.
    void collect();
    const std::map<std::string, Entry>& entries() const { return entries_; }
    uint64_t dropped() const { return dropped_; }
    void clear();

    /// For Recorder.
    void begin(VkCommandBuffer commands);
    void before(VkCommandBuffer commands, std::string_view label);
    void after(VkCommandBuffer commands);

  private:
    Device& device_;
    uint32_t capacity_;
    VkQueryPool pool_ = VK_NULL_HANDLE;
    std::vector<std::string> labels_;
    bool open_ = false;
    std::map<std::string, Entry> entries_;
    uint64_t dropped_ = 0;
};

}  // namespace vulcat::vk
