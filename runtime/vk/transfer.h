#pragma once
// Moving bytes between host and device outside of recorded work: loading weights, reading results in tests and tools.

#include "vk/hazards.h"

#include <array>
#include <span>

namespace vulcat::vk {

/// Copies host bytes into views, directly where they are mapped, else through a ring of two staging halves: the host
/// fills one half while the device empties the other.
class Uploader {
  public:
    /// `ringBytes` of staging memory, made at the first write that needs it. Precondition: at least 8.
    explicit Uploader(Device& device, VkDeviceSize ringBytes = 16u << 20);
    ~Uploader();
    Uploader(const Uploader&) = delete;
    Uploader& operator=(const Uploader&) = delete;

    /// Writes bytes to the start of `to`; any size up to to.size, else Error(InvalidArgument). `bytes` may be reused at
    /// once. The device may use `to` after finish(). Precondition: no submission in flight uses `to`.
    void write(BufferView to, std::span<const std::byte> bytes);
    template <typename T>
    void write(BufferView to, std::span<const T> values) {
        write(to, std::as_bytes(values));
    }

    /// Returns when everything written has arrived. Throws Error(DeviceLost).
    void finish();

  private:
    struct Half {
        VkCommandBuffer commands = VK_NULL_HANDLE;
        VkFence fence = VK_NULL_HANDLE;
        VkDeviceSize begin = 0;  ///< offset into the staging buffer
        VkDeviceSize used = 0;
        bool recording = false;
        bool pending = false;
    };
    void prepare();
    void stage(Half& half, const BufferView& to, std::span<const std::byte> bytes);
    void submit(Half& half);
    void retire(Half& half);

    Device& device_;
    VkDeviceSize halfBytes_;
    std::vector<Buffer> staging_;  // none or one
    VkCommandPool pool_ = VK_NULL_HANDLE;
    std::array<Half, 2> halves_;
    size_t current_ = 0;
    HazardTracker tracker_;
};

/// Copies the first bytes of a view to the host and waits. Precondition: the work that writes `from` has been waited for.
/// Throws Error(InvalidArgument) when bytes is larger than the view.
void download(Device& device, BufferView from, std::span<std::byte> bytes);

}  // namespace vulcat::vk
