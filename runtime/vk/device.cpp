#include "vk/device.h"

#include "vk/check.h"
#include "vk/features.h"
#include "vk/recorder.h"

#include <algorithm>

namespace vulcat::vk {

Device::Device(const Instance& instance, const DeviceInfo& info, DeviceOptions options)
    : info_(info), limits_(info.limits.loweredTo(options.limits)), options_(std::move(options)) {
    if (!info_.usable()) throw Error(Result::NoDevice, info_.name + " cannot be used: " + info_.unusableBecause);
    enabled_ = info_.available & options_.allowed;
    capabilities_ = info_.capabilities & options_.allowed;
    subgroupSizeControl_ = info_.subgroupSizeControl;
    queueFamily_ = *info_.queueFamily;
    budgetBytes_ = options_.limits.heapBytes;
    open(instance);
}

Device::Device(const AdoptedDevice& adopted, DeviceOptions options)
    : options_(std::move(options)),
      owned_(false),
      handle_(adopted.device),
      queue_(adopted.queue),
      queueFamily_(adopted.queueFamily),
      lockQueue_(adopted.lockQueue),
      unlockQueue_(adopted.unlockQueue) {
    if (adopted.getInstanceProcAddr == nullptr || adopted.instance == VK_NULL_HANDLE ||
        adopted.physicalDevice == VK_NULL_HANDLE || adopted.device == VK_NULL_HANDLE) {
        throw Error(Result::InvalidArgument,
                    "AdoptedDevice needs getInstanceProcAddr, instance, physicalDevice and device");
    }
    const InstanceDispatch instance = loadInstance(adopted.getInstanceProcAddr, adopted.instance);
    info_ = describeDevice(instance, adopted.physicalDevice, 0, adopted.instanceVersion, adopted.queueFamily);
    if (!info_.usable()) throw Error(Result::NoDevice, info_.name + " cannot be used: " + info_.unusableBecause);
    limits_ = info_.limits.loweredTo(options_.limits);
    // TEXEL is a property, not a feature: it need not be enabled. So are SUBGROUP and SCALARS, but where there are several sizes
    // of subgroups and none can be asked for a driver takes which it likes, and says another (Intel).
    CapabilitySet free{Capability::Texel};
    const CapabilitySet ofSubgroups{Capability::Subgroup, Capability::Scalars, Capability::Coopmat};
    const bool sizeIsKnown = adopted.subgroupSizeControlEnabled || info_.limits.minSubgroupSize == info_.limits.maxSubgroupSize;
    if (sizeIsKnown) free = free | CapabilitySet{Capability::Subgroup, Capability::Scalars};
    const CapabilitySet unsafe = sizeIsKnown ? CapabilitySet{} : ofSubgroups;
    enabled_ = (info_.available & options_.allowed & (adopted.enabled | free)) - unsafe;
    capabilities_ = info_.capabilities & enabled_;
    subgroupSizeControl_ = info_.subgroupSizeControl && adopted.subgroupSizeControlEnabled;
    budgetBytes_ = options_.limits.heapBytes;
    vk_ = loadDevice(instance.vkGetDeviceProcAddr, handle_);
}

void Device::open(const Instance& instance) {
    const float priority = options_.lowPriority ? 0.0f : 1.0f;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueFamilyIndex = queueFamily_;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    FeatureChain features(std::min(info_.apiVersion, instance.version()), info_.extensions);
    features.enable(enabled_, subgroupSizeControl_);
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = features.head();
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    info.enabledExtensionCount = static_cast<uint32_t>(features.extensions().size());
    info.ppEnabledExtensionNames = features.extensions().data();
    const InstanceDispatch& vk = instance.dispatch();
    check(create(vk, info), "opening " + info_.name);
    try {
        vk_ = loadDevice(vk.vkGetDeviceProcAddr, handle_);
    } catch (const Error&) {
        const PFN_vkVoidFunction destroy = vk.vkGetDeviceProcAddr(handle_, "vkDestroyDevice");
        if (destroy != nullptr) reinterpret_cast<PFN_vkDestroyDevice>(destroy)(handle_, allocator());
        throw;
    }
    vk_.vkGetDeviceQueue(handle_, queueFamily_, 0, &queue_);
}

VkResult Device::create(const InstanceDispatch& vk, VkDeviceCreateInfo info) {
    if (options_.lowPriority && !info_.lowPriorityExtension.empty()) {
        VkDeviceQueueGlobalPriorityCreateInfoKHR low{};
        low.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_GLOBAL_PRIORITY_CREATE_INFO_KHR;
        low.globalPriority = VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR;
        VkDeviceQueueCreateInfo queue = *info.pQueueCreateInfos;
        queue.pNext = &low;
        std::vector<const char*> extensions(info.ppEnabledExtensionNames,
                                            info.ppEnabledExtensionNames + info.enabledExtensionCount);
        extensions.push_back(info_.lowPriorityExtension.c_str());
        VkDeviceCreateInfo with = info;
        with.pQueueCreateInfos = &queue;
        with.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
        with.ppEnabledExtensionNames = extensions.data();
        if (vk.vkCreateDevice(info_.handle, &with, allocator(), &handle_) == VK_SUCCESS) return VK_SUCCESS;
        handle_ = VK_NULL_HANDLE;  // a system may forbid other priorities than its own: without then
    }
    return vk.vkCreateDevice(info_.handle, &info, allocator(), &handle_);
}

Device::~Device() {
    // A hung submission would hang the wait as well; the process is better off without either.
    if (!owned_ || abandoned_) return;
    vk_.vkDeviceWaitIdle(handle_);
    vk_.vkDestroyDevice(handle_, allocator());
}

void Device::submit(VkCommandBuffer commands, VkFence fence) {
    if (queue_ == VK_NULL_HANDLE) {
        throw Error(Result::InvalidArgument, "nothing can be submitted: the host gave no queue in AdoptedDevice");
    }
    check(vk_.vkResetFences(handle_, 1, &fence), "resetting a fence");
    VkSubmitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands;
    if (lockQueue_) lockQueue_();
    const VkResult result = vk_.vkQueueSubmit(queue_, 1, &info, fence);
    if (unlockQueue_) unlockQueue_();
    check(result, "submitting work to " + info_.name);
}

void Device::wait(VkFence fence) {
    // Destructors wait too; after the first time there is nothing left to wait for.
    if (abandoned_) throw Error(Result::DeviceLost, info_.name + " was given up before");
    using Clock = std::chrono::steady_clock;
    constexpr uint64_t kSliceNs = 1'000'000'000;  // drivers have ignored longer waits, so none is longer than this
    const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(options_.waitLimit);
    while (true) {
        const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(end - Clock::now()).count();
        const uint64_t slice = left > 0 ? std::min(kSliceNs, static_cast<uint64_t>(left)) : 0;
        if (check(vk_.vkWaitForFences(handle_, 1, &fence, VK_TRUE, slice), "waiting for " + info_.name) == VK_SUCCESS)
            return;
        if (left > 0) continue;
        giveUp();
    }
}

void Device::submit(Recorder& recorder) {
    if (recorder.state_ != Recorder::State::Ended) {
        throw Error(Result::InvalidArgument,
                    "a recorder is submitted after end() and not while its last submission runs");
    }
    submit(recorder.own_, recorder.fence_);
    recorder.state_ = Recorder::State::Submitted;
    recorder.submittedAt_ = std::chrono::steady_clock::now();
}

bool Device::finished(Recorder& recorder) {
    if (recorder.state_ != Recorder::State::Submitted) return true;
    if (abandoned_) throw Error(Result::DeviceLost, info_.name + " was given up before");
    const VkResult result = check(vk_.vkGetFenceStatus(handle_, recorder.fence_), "asking " + info_.name);
    if (result == VK_SUCCESS) {
        recorder.state_ = Recorder::State::Ended;
        return true;
    }
    if (std::chrono::steady_clock::now() - recorder.submittedAt_ > options_.waitLimit) giveUp();
    return false;
}

void Device::giveUp() {
    abandoned_ = true;
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(options_.waitLimit).count();
    throw Error(Result::DeviceLost, info_.name + " did not finish its work within " + std::to_string(limit) +
                                        " ms; the device is given up");
}

void Device::wait(Recorder& recorder) {
    if (recorder.state_ != Recorder::State::Submitted) return;
    wait(recorder.fence_);
    recorder.state_ = Recorder::State::Ended;
}

void Device::reserveDeviceBytes(uint64_t sizeBytes) {
    if (budgetBytes_ < deviceBytes_ || budgetBytes_ - deviceBytes_ < sizeBytes) {
        throw Error(Result::OutOfMemory, "the memory budget of " + std::to_string(budgetBytes_) +
                                             " bytes is used up: " + std::to_string(deviceBytes_) + " in use, " +
                                             std::to_string(sizeBytes) + " more asked for");
    }
    deviceBytes_ += sizeBytes;
}

uint64_t Device::availableBytes() const {
    const uint64_t most = std::min(budgetBytes_, info_.offeredBytes());
    return most - std::min(most, deviceBytes_);
}

VkResult Device::allocateMemory(const VkMemoryAllocateInfo& info, VkDeviceMemory& memory) {
    if (options_.memory.allocate) return options_.memory.allocate(info, memory);
    return vk_.vkAllocateMemory(handle_, &info, allocator(), &memory);
}

void Device::freeMemory(VkDeviceMemory memory) noexcept {
    if (memory == VK_NULL_HANDLE) return;
    if (options_.memory.free) return options_.memory.free(memory);
    vk_.vkFreeMemory(handle_, memory, allocator());
}

}  // namespace vulcat::vk
