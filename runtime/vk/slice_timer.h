#pragma once
// Times on the device between marks in one recording.

#include "vk/device.h"

#include <vector>

namespace vulcat::vk {

class SliceTimer {
  public:
    /// Room for `marks` marks in a recording. On a queue without timestamps works() is false and marks do nothing.
    explicit SliceTimer(Device& device, uint32_t marks = 1024);
    ~SliceTimer();
    SliceTimer(const SliceTimer&) = delete;
    SliceTimer& operator=(const SliceTimer&) = delete;

    bool works() const { return pool_ != VK_NULL_HANDLE; }
    uint32_t room() const { return capacity_ - used_; }  ///< marks that are left in this recording
    /// Nanoseconds from each mark of the last recording to the next one. Precondition: its submission has been waited
    /// for. Throws Error(Failure) when the driver has no times.
    std::vector<double> collect();

    /// For Recorder: a first mark also begins anew.
    void mark(VkCommandBuffer commands);
    void restart() { used_ = 0; }

  private:
    Device& device_;
    uint32_t capacity_;
    uint32_t used_ = 0;
    VkQueryPool pool_ = VK_NULL_HANDLE;
};

}  // namespace vulcat::vk
