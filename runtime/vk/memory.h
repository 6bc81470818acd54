#pragma once
// Memory by intent, never by property flags at call sites: buffers, views, bump arenas.

#include "vk/device.h"
#include "vk/memory_types.h"

#include <cstddef>
#include <vector>

namespace vulcat::vk {

/// The GPU's span: a range of a buffer. Copy freely; valid as long as its Buffer or Arena.
struct BufferView {
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceSize offset = 0;      ///< bytes
    VkDeviceSize size = 0;        ///< bytes
    std::byte* mapped = nullptr;  ///< host address of the first byte, null when the host cannot see it; always coherent
    VkDeviceAddress address = 0;  ///< where shaders find the first byte; 0 unless ADDRESS is enabled
    bool cached = false;          ///< reading through `mapped` is fast

    /// A part of this view; throws Error(InvalidArgument) when it does not fit. Storage bindings need `at` to keep
    /// limits().storageAlignment.
    BufferView part(VkDeviceSize at, VkDeviceSize sizeBytes) const;
};

/// One VkBuffer with memory of its own. Storage, transfer and texel use.
class Buffer {
  public:
    /// Throws Error(InvalidArgument) for 0 bytes, Error(OutOfMemory) above limits().maxAllocation or when there is
    /// no memory left; the message says how much was asked.
    Buffer(Device& device, VkDeviceSize sizeBytes, MemoryIntent intent);
    ~Buffer();
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;

    VkDeviceSize size() const { return view_.size; }
    BufferView view() const { return view_; }
    BufferView view(VkDeviceSize offset, VkDeviceSize sizeBytes) const { return view_.part(offset, sizeBytes); }
    std::byte* mapped() const { return view_.mapped; }

  private:
    void release() noexcept;

    Device* device_ = nullptr;
    BufferView view_;
    VkDeviceMemory memory_ = VK_NULL_HANDLE;
    uint64_t accountedBytes_ = 0;
};

/// A uniform texel buffer of uvec4 (RGBA32UI) over a view: texelFetch(usamplerBuffer, i) is the i-th 16 bytes.
class TexelView {
  public:
    /// Preconditions, else Error(InvalidArgument): size a multiple of 16 and at most limits().maxTexelElements * 16,
    /// offset aligned to limits().storageAlignment. Error(Unsupported) without Capability::Texel.
    TexelView(Device& device, BufferView view);
    ~TexelView();
    TexelView(TexelView&& other) noexcept;
    TexelView& operator=(TexelView&& other) noexcept;

    VkBufferView handle() const { return handle_; }
    BufferView view() const { return view_; }

  private:
    Device* device_ = nullptr;
    BufferView view_;
    VkBufferView handle_ = VK_NULL_HANDLE;
};

/// Hands out views from large blocks; everything is freed together. Views start on limits().storageAlignment.
class Arena {
  public:
    /// Precondition: blockBytes > 0. A block is made when needed; requests above blockBytes get a block of their own.
    Arena(Device& device, MemoryIntent intent, VkDeviceSize blockBytes);

    /// Throws as Buffer does. The content is undefined.
    BufferView allocate(VkDeviceSize sizeBytes);
    /// Forgets all views but keeps the blocks. Precondition: no submission uses them any more.
    void reset();

    uint64_t usedBytes() const { return usedBytes_; }          ///< sum of what was asked, alignment included
    uint64_t reservedBytes() const { return reservedBytes_; }  ///< sum of the blocks

  private:
    Device* device_;
    MemoryIntent intent_;
    VkDeviceSize blockBytes_;
    std::vector<Buffer> blocks_;
    std::vector<VkDeviceSize> offsets_;  // what is taken of each block
    uint64_t usedBytes_ = 0;
    uint64_t reservedBytes_ = 0;
};

}  // namespace vulcat::vk
