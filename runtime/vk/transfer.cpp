#include "vk/transfer.h"

#include "vk/check.h"
#include "vk/recorder.h"

#include <algorithm>
#include <cstring>

namespace vulcat::vk {

Uploader::Uploader(Device& device, VkDeviceSize ringBytes) : device_(device), halfBytes_(ringBytes / 2) {
    if (halfBytes_ < 4) throw Error(Result::InvalidArgument, "an upload ring of less than 8 bytes");
}

Uploader::~Uploader() {
    try {
        finish();
    } catch (const Error&) {
        // Lost or given up; the caller heard of it when it asked for finish(), or does not care.
    }
    if (device_.abandoned() || pool_ == VK_NULL_HANDLE) return;
    for (Half& half : halves_) device_.dispatch().vkDestroyFence(device_.handle(), half.fence, device_.allocator());
    device_.dispatch().vkDestroyCommandPool(device_.handle(), pool_, device_.allocator());
}

void Uploader::prepare() {
    if (!staging_.empty()) return;
    const DeviceDispatch& vk = device_.dispatch();
    if (pool_ == VK_NULL_HANDLE) {
        VkCommandPoolCreateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
        info.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
        info.queueFamilyIndex = device_.queueFamily();
        check(vk.vkCreateCommandPool(device_.handle(), &info, device_.allocator(), &pool_), "creating a command pool");
    }
    for (Half& half : halves_) {
        VkCommandBufferAllocateInfo buffer{};
        buffer.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
        buffer.commandPool = pool_;
        buffer.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        buffer.commandBufferCount = 1;
        if (half.commands == VK_NULL_HANDLE) {
            check(vk.vkAllocateCommandBuffers(device_.handle(), &buffer, &half.commands), "creating a command buffer");
        }
        VkFenceCreateInfo fence{};
        fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
        if (half.fence == VK_NULL_HANDLE) {
            check(vk.vkCreateFence(device_.handle(), &fence, device_.allocator(), &half.fence), "creating a fence");
        }
    }
    staging_.emplace_back(device_, 2 * halfBytes_, MemoryIntent::Upload);
    halves_[0].begin = 0;
    halves_[1].begin = halfBytes_;
}

void Uploader::write(BufferView to, std::span<const std::byte> bytes) {
    if (bytes.size() > to.size) {
        throw Error(Result::InvalidArgument,
                    "uploading " + std::to_string(bytes.size()) + " bytes into a view of " + std::to_string(to.size));
    }
    if (bytes.empty()) return;
    if (to.mapped != nullptr) {
        std::memcpy(to.mapped, bytes.data(), bytes.size());
        return;
    }
    prepare();
    size_t done = 0;
    while (done < bytes.size()) {
        Half& half = halves_[current_];
        retire(half);
        if (half.used == halfBytes_) {
            submit(half);
            current_ = 1 - current_;
            continue;
        }
        const size_t piece = std::min(bytes.size() - done, static_cast<size_t>(halfBytes_ - half.used));
        stage(half, to.part(done, piece), bytes.subspan(done, piece));
        done += piece;
    }
}

void Uploader::stage(Half& half, const BufferView& to, std::span<const std::byte> bytes) {
    const DeviceDispatch& vk = device_.dispatch();
    const VkDeviceSize from = half.begin + half.used;
    std::memcpy(staging_.front().mapped() + from, bytes.data(), bytes.size());
    // The same bytes written twice arrive in the order of the calls, across the two halves and earlier submissions too.
    const bool conflict = !half.recording || tracker_.conflicts(to, Access::Write);
    if (!half.recording) {
        VkCommandBufferBeginInfo begin{};
        begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
        begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
        check(vk.vkBeginCommandBuffer(half.commands, &begin), "beginning a command buffer");
        half.recording = true;
    }
    if (conflict) {
        VkMemoryBarrier barrier{};
        barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
        barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_WRITE_BIT;
        barrier.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
        vk.vkCmdPipelineBarrier(half.commands, VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0, nullptr, 0, nullptr);
        tracker_.clear();
    }
    tracker_.note(to, Access::Write, VK_PIPELINE_STAGE_TRANSFER_BIT);
    const VkBufferCopy region{from, to.offset, bytes.size()};
    vk.vkCmdCopyBuffer(half.commands, staging_.front().view().buffer, to.buffer, 1, &region);
    half.used += bytes.size();
}

void Uploader::submit(Half& half) {
    if (!half.recording) return;
    check(device_.dispatch().vkEndCommandBuffer(half.commands), "ending a command buffer");
    half.recording = false;
    device_.submit(half.commands, half.fence);
    half.pending = true;
}

void Uploader::retire(Half& half) {
    if (!half.pending) return;
    device_.wait(half.fence);
    half.pending = false;
    half.used = 0;
}

void Uploader::finish() {
    submit(halves_[current_]);
    for (Half& half : halves_) retire(half);
    tracker_.clear();
}

void download(Device& device, BufferView from, std::span<std::byte> bytes) {
    if (bytes.size() > from.size) {
        throw Error(Result::InvalidArgument, "downloading " + std::to_string(bytes.size()) + " bytes from a view of " +
                                                 std::to_string(from.size));
    }
    if (bytes.empty()) return;
    if (from.mapped != nullptr && from.cached) {
        std::memcpy(bytes.data(), from.mapped, bytes.size());
        return;
    }
    const Buffer staging(device, bytes.size(), MemoryIntent::Readback);
    Recorder recorder(device);
    recorder.begin();
    recorder.copy(from.part(0, bytes.size()), staging.view());
    recorder.end();
    device.submitAndWait(recorder);
    std::memcpy(bytes.data(), staging.mapped(), bytes.size());
}

}  // namespace vulcat::vk
