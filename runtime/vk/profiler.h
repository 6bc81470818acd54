#pragma once
// Time per label from timestamps around each dispatch. Without barriers between them dispatches may overlap on a GPU;
// then the times overlap too and their sum is more than the whole.

#include "vk/command_list.h"
#include "vk/device.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
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

    /// The label of timeEmpty().
    static constexpr std::string_view kEmpty = "empty";
    /// From now on each recording ends with one workgroup of this pipeline, behind a barrier, timed as kEmpty: with next to
    /// nothing to do it says what each dispatch costs before it works. The pipeline and the bindings must outlive the
    /// recordings; what it writes nobody else may use.
    void timeEmpty(const Pipeline& pipeline, std::span<const Binding> bindings, std::span<const std::byte> push);

    /// Adds the times of the last submission to entries(). Precondition: it has been waited for.
    void collect();
    const std::map<std::string, Entry>& entries() const { return entries_; }
    uint64_t dropped() const { return dropped_; }
    void clear();

    /// For Recorder.
    void begin(VkCommandBuffer commands);
    void before(VkCommandBuffer commands, std::string_view label);
    void after(VkCommandBuffer commands);
    const CommandList& empty() const { return empty_; }  ///< of at most one command

  private:
    Device& device_;
    uint32_t capacity_;
    VkQueryPool pool_ = VK_NULL_HANDLE;
    std::vector<std::string> labels_;
    bool open_ = false;
    CommandList empty_;
    std::map<std::string, Entry> entries_;
    uint64_t dropped_ = 0;
};

}  // namespace vulcat::vk
