#include "vk/recorder.h"

#include "vk/check.h"
#include "vk/slice_timer.h"

#include <algorithm>

namespace vulcat::vk {
namespace {

constexpr VkPipelineStageFlags kWorkStages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags kWorkWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags kWorkAccess = kWorkWrites | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

[[noreturn]] void reject(const std::string& where, const std::string& what) {
    throw Error(Result::InvalidArgument, where + ": " + what);
}

}  // namespace

Recorder::Recorder(Device& device, Hazards hazards) : device_(device), hazards_(hazards), sets_(device) {
    const DeviceDispatch& vk = device.dispatch();
    try {
        VkCommandPoolCreateInfo pool{};
        pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
        pool.queueFamilyIndex = device.queueFamily();
        check(vk.vkCreateCommandPool(device.handle(), &pool, device.allocator(), &commandPool_),
              "creating a command pool");
        VkCommandBufferAllocateInfo buffer{};
        buffer.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
        buffer.commandPool = commandPool_;
        buffer.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        buffer.commandBufferCount = 1;
        check(vk.vkAllocateCommandBuffers(device.handle(), &buffer, &own_), "creating a command buffer");
        VkFenceCreateInfo fence{};
        fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
        check(vk.vkCreateFence(device.handle(), &fence, device.allocator(), &fence_), "creating a fence");
    } catch (...) {
        release();
        throw;
    }
}

Recorder::~Recorder() {
    try {
        device_.wait(*this);
    } catch (const Error&) {
        // Lost or given up: the device knows, and release() asks it.
    }
    release();
}

void Recorder::release() noexcept {
    if (device_.abandoned()) return;
    const DeviceDispatch& vk = device_.dispatch();
    sets_.release();
    vk.vkDestroyFence(device_.handle(), fence_, device_.allocator());
    vk.vkDestroyCommandPool(device_.handle(), commandPool_, device_.allocator());
}

void Recorder::begin() {
    device_.wait(*this);
    begunAt_ = std::chrono::steady_clock::now();
    const DeviceDispatch& vk = device_.dispatch();
    state_ = State::Idle;  // whatever fails from here on, the last recording is gone
    check(vk.vkResetCommandPool(device_.handle(), commandPool_, 0), "resetting a command pool");
    VkCommandBufferBeginInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    check(vk.vkBeginCommandBuffer(own_, &info), "beginning a command buffer");
    state_ = State::Recording;
    startRecording(own_);
    // Waiting for a fence orders earlier submissions but does not make device writes visible to later ones.
    barrier(kWorkStages, kWorkWrites, kWorkStages, kWorkAccess);
}

void Recorder::begin(VkCommandBuffer foreign) {
    device_.wait(*this);
    state_ = State::Foreign;
    startRecording(foreign);
    barrier(VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT, kWorkStages, kWorkAccess);
}

void Recorder::startRecording(VkCommandBuffer commands) {
    commands_ = commands;
    sets_.rewind();
    tracker_.clear();
    texelViews_.clear();
    bound_ = VK_NULL_HANDLE;
    dispatchCount_ = 0;
    barrierCount_ = 0;
    if (profiler_ != nullptr) profiler_->begin(commands_);
}

void Recorder::requireRecording(const char* what) const {
    if (state_ != State::Recording && state_ != State::Foreign) reject(what, "nothing is recorded before begin()");
}

void Recorder::barrier(VkPipelineStageFlags fromStages, VkAccessFlags from, VkPipelineStageFlags toStages,
                       VkAccessFlags to) {
    VkMemoryBarrier memory{};
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    memory.srcAccessMask = from;
    memory.dstAccessMask = to;
    device_.dispatch().vkCmdPipelineBarrier(commands_, fromStages, toStages, 0, 1, &memory, 0, nullptr, 0, nullptr);
}

void Recorder::separate(std::span<const Binding> bindings, VkPipelineStageFlagBits stage) {
    const auto conflicts = [this](const Binding& binding) { return tracker_.conflicts(binding.view, binding.access); };
    if (hazards_ == Hazards::Tracked && std::any_of(bindings.begin(), bindings.end(), conflicts)) {
        const HazardTracker::Scope& scope = tracker_.scope();
        barrier(scope.stages, scope.writes, kWorkStages, kWorkAccess);
        ++barrierCount_;
        tracker_.clear();
    }
    if (hazards_ == Hazards::Unchecked) return;
    for (const Binding& binding : bindings) tracker_.note(binding.view, binding.access, stage);
}

void Recorder::checkDispatch(const Pipeline& pipeline, std::span<const Binding> bindings,
                             std::span<const std::byte> push, std::array<uint32_t, 3> groups) const {
    const Limits& limits = device_.limits();
    if (bindings.size() != pipeline.bindings.size()) {
        reject(pipeline.module, std::to_string(bindings.size()) + " bindings for a pipeline with " +
                                    std::to_string(pipeline.bindings.size()));
    }
    if (push.size() != pipeline.pushBytes) {
        reject(pipeline.module, std::to_string(push.size()) + " push-constant bytes for a pipeline with " +
                                    std::to_string(pipeline.pushBytes));
    }
    for (size_t i = 0; i < bindings.size(); ++i) {
        const BufferView& view = bindings[i].view;
        const bool texel = pipeline.bindings[i] == BindingKind::UniformTexel;
        const std::string where = pipeline.module + " binding " + std::to_string(i);
        if (texel != (bindings[i].texel != VK_NULL_HANDLE))
            reject(where, "a texel view on a storage binding or the reverse");
        if (texel && bindings[i].access != Access::Read) reject(where, "texel views are only read");
        if (view.buffer == VK_NULL_HANDLE || view.size == 0) reject(where, "an empty view");
        if (texel) continue;
        if (view.offset % limits.storageAlignment != 0) {
            reject(where, "offset " + std::to_string(view.offset) + " is no multiple of " +
                              std::to_string(limits.storageAlignment));
        }
        if (view.size > limits.maxStorageRange) {
            reject(where, std::to_string(view.size) + " bytes are more than the storage range of " +
                              std::to_string(limits.maxStorageRange));
        }
    }
    for (size_t i = 0; i < 3; ++i) {
        if (groups[i] == 0 || groups[i] > limits.maxWorkgroupCount[i]) {
            reject(pipeline.module, std::to_string(groups[i]) + " workgroups in dimension " + std::to_string(i) +
                                        ", where 1 to " + std::to_string(limits.maxWorkgroupCount[i]) +
                                        " are possible");
        }
    }
}

VkDescriptorSet Recorder::descriptorSet(const Pipeline& pipeline, std::span<const Binding> bindings) {
    const VkDescriptorSet set = sets_.take(pipeline.bindings);
    buffers_.resize(bindings.size());
    writes_.resize(bindings.size());
    for (size_t i = 0; i < bindings.size(); ++i) {
        const Binding& binding = bindings[i];
        const bool texel = binding.texel != VK_NULL_HANDLE;
        buffers_[i] = {binding.view.buffer, binding.view.offset, binding.view.size};
        VkWriteDescriptorSet& write = writes_[i];
        write = {};
        write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
        write.dstSet = set;
        write.dstBinding = static_cast<uint32_t>(i);
        write.descriptorCount = 1;
        write.descriptorType = texel ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        write.pBufferInfo = texel ? nullptr : &buffers_[i];
        write.pTexelBufferView = texel ? &binding.texel : nullptr;
    }
    device_.dispatch().vkUpdateDescriptorSets(device_.handle(), static_cast<uint32_t>(writes_.size()), writes_.data(), 0,
                                              nullptr);
    return set;
}

VkBufferView Recorder::texelOver(const BufferView& view) {
    const std::tuple key(view.buffer, view.offset, view.size);
    const auto found = texelViews_.find(key);
    if (found != texelViews_.end()) return found->second.handle();
    return texelViews_.emplace(key, TexelView(device_, view)).first->second.handle();
}

void Recorder::dispatch(const Pipeline& pipeline, std::span<const Binding> given, std::span<const std::byte> push,
                        std::array<uint32_t, 3> groups, std::string_view label) {
    if (captured_ != nullptr) return captured_->addDispatch(pipeline, given, push, groups);
    dispatchFrom(pipeline, given, push, {0, 0, 0}, groups, label);
}

void Recorder::dispatchFrom(const Pipeline& pipeline, std::span<const Binding> given, std::span<const std::byte> push,
                            std::array<uint32_t, 3> base, std::array<uint32_t, 3> groups, std::string_view label) {
    requireRecording("dispatch");
    bindings_.assign(given.begin(), given.end());
    for (size_t i = 0; i < std::min(bindings_.size(), pipeline.bindings.size()); ++i) {
        Binding& binding = bindings_[i];
        if (pipeline.bindings[i] != BindingKind::UniformTexel || binding.texel != VK_NULL_HANDLE) continue;
        binding.texel = texelOver(binding.view);
    }
    const std::span<const Binding> bindings = bindings_;
    checkDispatch(pipeline, bindings, push, groups);
    separate(bindings, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
    const DeviceDispatch& vk = device_.dispatch();
    if (bound_ != pipeline.handle) {
        vk.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle);
        bound_ = pipeline.handle;
    }
    if (!bindings.empty()) {
        const VkDescriptorSet set = descriptorSet(pipeline, bindings);
        vk.vkCmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout, 0, 1, &set, 0, nullptr);
    }
    if (!push.empty()) {
        vk.vkCmdPushConstants(commands_, pipeline.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                              static_cast<uint32_t>(push.size()), push.data());
    }
    if (profiler_ != nullptr) profiler_->before(commands_, label.empty() ? std::string_view(pipeline.module) : label);
    if (base == std::array<uint32_t, 3>{0, 0, 0}) {
        vk.vkCmdDispatch(commands_, groups[0], groups[1], groups[2]);
    } else {
        vk.vkCmdDispatchBase(commands_, base[0], base[1], base[2], groups[0], groups[1], groups[2]);
    }
    if (profiler_ != nullptr) profiler_->after(commands_);
    ++dispatchCount_;
    if (notes_ != nullptr) note(pipeline, bindings, groups, label);
}

void Recorder::note(const Pipeline& pipeline, std::span<const Binding> bindings, std::array<uint32_t, 3> groups,
                    std::string_view label) {
    DispatchNote& note = notes_->emplace_back();
    note.label = label.empty() ? pipeline.module : std::string(label);
    note.module = pipeline.module;
    note.groups = groups;
    for (const Binding& binding : bindings) {
        if (binding.access != Access::Write) note.readBytes += binding.view.size;
        if (binding.access != Access::Read) note.writtenBytes += binding.view.size;
    }
}

void Recorder::replay(const CommandList::Command& command) {
    switch (command.kind) {
        case CommandList::Kind::Dispatch:
            return dispatchFrom(*command.pipeline, command.bindings, command.push, {0, 0, 0}, command.groups, {});
        case CommandList::Kind::Copy:
            return copy(command.bindings[0].view, command.bindings[1].view);
        case CommandList::Kind::Fill:
            return fill(command.bindings[0].view, command.word);
    }
}

void Recorder::replayPart(const CommandList::Command& command, const std::array<uint32_t, 3>& base,
                          const std::array<uint32_t, 3>& groups) {
    if (command.kind != CommandList::Kind::Dispatch || !command.pipeline->splittable) {
        reject("replayPart", "this command runs only as a whole");
    }
    for (size_t axis = 0; axis < 3; ++axis) {
        if (base[axis] > command.groups[axis] || groups[axis] > command.groups[axis] - base[axis]) {
            reject(command.pipeline->module, "a part outside of its dispatch");
        }
    }
    dispatchFrom(*command.pipeline, command.bindings, command.push, base, groups, {});
}

void Recorder::mark(SliceTimer& timer) {
    requireRecording("mark");
    timer.mark(commands_);
}

void Recorder::copy(const BufferView& from, const BufferView& to) {
    if (captured_ != nullptr) return captured_->addCopy(from, to);
    requireRecording("copy");
    if (from.size != to.size || from.size == 0) {
        reject("copy", std::to_string(from.size) + " bytes into " + std::to_string(to.size) + " bytes");
    }
    const Binding bindings[] = {read(from), write(to)};
    separate(bindings, VK_PIPELINE_STAGE_TRANSFER_BIT);
    const VkBufferCopy region{from.offset, to.offset, from.size};
    device_.dispatch().vkCmdCopyBuffer(commands_, from.buffer, to.buffer, 1, &region);
}

void Recorder::fill(const BufferView& to, uint32_t word) {
    if (captured_ != nullptr) return captured_->addFill(to, word);
    requireRecording("fill");
    if (to.offset % 4 != 0 || to.size % 4 != 0 || to.size == 0) reject("fill", "offset and size are whole words");
    const Binding bindings[] = {write(to)};
    separate(bindings, VK_PIPELINE_STAGE_TRANSFER_BIT);
    device_.dispatch().vkCmdFillBuffer(commands_, to.buffer, to.offset, to.size, word);
}

void Recorder::timeEmpty() {
    // As between dispatches of which one reads what the other wrote: nothing else runs beside it.
    barrier(kWorkStages, kWorkWrites, kWorkStages, kWorkAccess);
    tracker_.clear();
    const CommandList::Command empty = profiler_->empty()[0];
    dispatchFrom(*empty.pipeline, empty.bindings, empty.push, {0, 0, 0}, empty.groups, Profiler::kEmpty);
}

void Recorder::end() {
    requireRecording("end");
    if (profiler_ != nullptr && !profiler_->empty().empty()) timeEmpty();
    if (state_ == State::Foreign) {
        barrier(kWorkStages, kWorkWrites, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT);
        state_ = State::Idle;
        return;
    }
    barrier(kWorkStages, kWorkWrites, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT);
    check(device_.dispatch().vkEndCommandBuffer(own_), "ending a command buffer");
    recordingTime_ += std::chrono::steady_clock::now() - begunAt_;
    state_ = State::Ended;
}

}  // namespace vulcat::vk
