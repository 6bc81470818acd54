#include "vk/memory.h"

#include "base/checked.h"
#include "vk/check.h"
#include "vk/first_fit.h"

#include <limits>
#include <utility>

namespace vulcat::vk {
namespace {

std::string megabytes(uint64_t bytes) {
    return std::to_string(divideUp(bytes, 1u << 20)) + " MiB";
}

/// Tries the types in turn: a small host-visible window may be full while there is plenty elsewhere.
VkDeviceMemory allocate(Device& device, uint64_t sizeBytes, const std::vector<uint32_t>& types, uint32_t& chosen) {
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    VkMemoryAllocateFlagsInfo flags{};
    flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
    flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
    for (uint32_t type : types) {
        VkMemoryAllocateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
        if (device.enabled().contains(Capability::Address)) info.pNext = &flags;
        info.allocationSize = sizeBytes;
        info.memoryTypeIndex = type;
        VkDeviceMemory memory = VK_NULL_HANDLE;
        result = device.allocateMemory(info, memory);
        chosen = type;
        if (result == VK_SUCCESS) return memory;
    }
    check(result, "allocating " + megabytes(sizeBytes) + " on " + device.info().name);
    throw Error(Result::OutOfMemory, "no memory type for " + megabytes(sizeBytes) + " on " + device.info().name);
}

}  // namespace

BufferView BufferView::part(VkDeviceSize at, VkDeviceSize sizeBytes) const {
    if (at > size || sizeBytes > size - at) {
        throw Error(Result::InvalidArgument, "a view of " + std::to_string(sizeBytes) + " bytes at " +
                                                 std::to_string(at) + " does not fit into " + std::to_string(size) +
                                                 " bytes");
    }
    return {buffer, offset + at, sizeBytes, mapped != nullptr ? mapped + at : nullptr, address != 0 ? address + at : 0, cached};
}

Buffer::Buffer(Device& device, VkDeviceSize sizeBytes, MemoryIntent intent) : device_(&device) {
    if (sizeBytes == 0) throw Error(Result::InvalidArgument, "a buffer of 0 bytes");
    if (sizeBytes > device.limits().maxAllocation) {
        throw Error(Result::OutOfMemory, megabytes(sizeBytes) + " in one piece is more than the " +
                                             megabytes(device.limits().maxAllocation) + " that " + device.info().name +
                                             " allocates at once");
    }
    const DeviceDispatch& vk = device.dispatch();
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = sizeBytes;
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    const bool addressed = device.enabled().contains(Capability::Address);
    if (addressed) info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    try {
        check(vk.vkCreateBuffer(device.handle(), &info, device.allocator(), &view_.buffer), "creating a buffer");
        view_.size = sizeBytes;
        VkMemoryRequirements needs{};
        vk.vkGetBufferMemoryRequirements(device.handle(), view_.buffer, &needs);
        const bool counted = intent == MemoryIntent::Device || intent == MemoryIntent::DeviceVisible;
        if (counted) {
            device.reserveDeviceBytes(needs.size);
            accountedBytes_ = needs.size;
        }
        const bool maps = device.mapsDeviceMemory();
        uint32_t type = 0;
        memory_ = allocate(device, needs.size, memoryTypesFor(device.info(), needs.memoryTypeBits, intent, maps), type);
        check(vk.vkBindBufferMemory(device.handle(), view_.buffer, memory_, 0), "binding buffer memory");
        if (addressed) {
            VkBufferDeviceAddressInfo whole{};
            whole.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
            whole.buffer = view_.buffer;
            view_.address = vk.vkGetBufferDeviceAddress(device.handle(), &whole);
        }
        const VkMemoryPropertyFlags flags = device.info().memory.memoryTypes[type].propertyFlags;
        if ((flags & kHostMemory) == kHostMemory && (intent != MemoryIntent::Device || maps)) {
            void* address = nullptr;
            check(vk.vkMapMemory(device.handle(), memory_, 0, VK_WHOLE_SIZE, 0, &address), "mapping memory");
            view_.mapped = static_cast<std::byte*>(address);
            view_.cached = (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
        }
    } catch (...) {
        release();
        throw;
    }
}

Buffer::~Buffer() {
    release();
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      view_(std::exchange(other.view_, {})),
      memory_(std::exchange(other.memory_, VK_NULL_HANDLE)),
      accountedBytes_(std::exchange(other.accountedBytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    if (this == &other) return *this;
    release();
    device_ = std::exchange(other.device_, nullptr);
    view_ = std::exchange(other.view_, {});
    memory_ = std::exchange(other.memory_, VK_NULL_HANDLE);
    accountedBytes_ = std::exchange(other.accountedBytes_, 0);
    return *this;
}

void Buffer::release() noexcept {
    if (device_ == nullptr) return;
    device_->releaseDeviceBytes(accountedBytes_);
    accountedBytes_ = 0;
    if (device_->abandoned()) return;
    device_->dispatch().vkDestroyBuffer(device_->handle(), view_.buffer, device_->allocator());
    device_->freeMemory(memory_);
}

TexelView::TexelView(Device& device, BufferView view) : device_(&device), view_(view) {
    constexpr VkDeviceSize kElement = 16;
    if (!device.enabled().contains(Capability::Texel)) {
        throw Error(Result::Unsupported, device.info().name + " has no texel buffers that are long enough");
    }
    if (view.size == 0 || view.size % kElement != 0 || view.size / kElement > device.limits().maxTexelElements ||
        view.offset % device.limits().storageAlignment != 0) {
        throw Error(Result::InvalidArgument, "a texel view of " + std::to_string(view.size) + " bytes at " +
                                                 std::to_string(view.offset) +
                                                 " is not whole, aligned 16-byte elements, or has more than " +
                                                 std::to_string(device.limits().maxTexelElements) + " of them");
    }
    VkBufferViewCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO;
    info.buffer = view.buffer;
    info.format = VK_FORMAT_R32G32B32A32_UINT;
    info.offset = view.offset;
    info.range = view.size;
    check(device.dispatch().vkCreateBufferView(device.handle(), &info, device.allocator(), &handle_),
          "creating a texel view");
}

TexelView::~TexelView() {
    if (device_ == nullptr || device_->abandoned()) return;
    device_->dispatch().vkDestroyBufferView(device_->handle(), handle_, device_->allocator());
}

TexelView::TexelView(TexelView&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      view_(other.view_),
      handle_(std::exchange(other.handle_, VK_NULL_HANDLE)) {}

TexelView& TexelView::operator=(TexelView&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(view_, other.view_);
    std::swap(handle_, other.handle_);
    return *this;
}

Arena::Arena(Device& device, MemoryIntent intent, VkDeviceSize blockBytes)
    : device_(&device),
      intent_(intent),
      blockBytes_(std::min<VkDeviceSize>(blockBytes, device.limits().maxAllocation)) {
    if (blockBytes == 0) throw Error(Result::InvalidArgument, "an arena with blocks of 0 bytes");
}

BufferView Arena::allocate(VkDeviceSize sizeBytes) {
    if (sizeBytes == 0) throw Error(Result::InvalidArgument, "a view of 0 bytes");
    const VkDeviceSize alignment = device_->limits().storageAlignment;
    if (sizeBytes > std::numeric_limits<VkDeviceSize>::max() - alignment) {
        throw Error(Result::OutOfMemory, "a view of " + std::to_string(sizeBytes) + " bytes");
    }
    const VkDeviceSize padded = roundUp(sizeBytes, alignment);
    const size_t at = firstFit(offsets_, padded, [this](size_t block) { return blocks_[block].size(); });
    if (at == blocks_.size()) {
        blocks_.emplace_back(*device_, std::max(padded, blockBytes_), intent_);
        offsets_.push_back(0);
        reservedBytes_ += blocks_.back().size();
    }
    const BufferView view = blocks_[at].view(offsets_[at], sizeBytes);
    offsets_[at] += padded;
    usedBytes_ += padded;
    return view;
}

void Arena::reset() {
    std::fill(offsets_.begin(), offsets_.end(), 0);
    usedBytes_ = 0;
}

}  // namespace vulcat::vk
