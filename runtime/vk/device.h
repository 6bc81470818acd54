#pragma once
// An opened device with the one queue that vulcat uses.

#include "vk/instance.h"

#include <chrono>
#include <functional>

namespace vulcat::vk {

class Recorder;

/// The host's way to allocate device memory; both or neither. Neither may throw.
struct MemoryFunctions {
    std::function<VkResult(const VkMemoryAllocateInfo&, VkDeviceMemory&)> allocate;
    std::function<void(VkDeviceMemory)> free;
};

struct DeviceOptions {
    CapabilitySet allowed = CapabilitySet::all();  ///< features outside are not enabled
    Limits limits = Limits::unlimited();           ///< lowers the device's limits; never raises one
    /// False: device memory is treated as invisible to the host even where it is not, so that staging is tested
    /// everywhere.
    bool mapDeviceMemory = true;
    /// After this long a submission counts as hung: Error(DeviceLost). Generous, because software drivers compile
    /// inside.
    std::chrono::nanoseconds waitLimit = std::chrono::minutes(5);
    bool lowPriority = false;  ///< own devices: lowest queue priority, and low global priority where it is offered
    MemoryFunctions memory{};  ///< empty: vkAllocateMemory and vkFreeMemory
    const VkAllocationCallbacks* hostAllocator = nullptr;  ///< for every object; must outlive the Device
};

/// A device that the host application made. Its handles stay the host's and must outlive the Device.
struct AdoptedDevice {
    PFN_vkGetInstanceProcAddr getInstanceProcAddr = nullptr;
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physicalDevice = VK_NULL_HANDLE;
    VkDevice device = VK_NULL_HANDLE;
    VkQueue queue = VK_NULL_HANDLE;  ///< of queueFamily, with compute
    uint32_t queueFamily = 0;
    uint32_t instanceVersion = VK_API_VERSION_1_1;  ///< VkApplicationInfo::apiVersion of the instance
    CapabilitySet enabled;                          ///< what the host did enable: Vulkan cannot be asked
    bool subgroupSizeControlEnabled = false;        ///< subgroupSizeControl and computeFullSubgroups
    std::function<void()> lockQueue;                ///< around every use of the queue; both may be empty
    std::function<void()> unlockQueue;
};

class Device {
  public:
    /// Opens `info`, one of instance.physicalDevices(). Throws Error(NoDevice) when it is not usable.
    Device(const Instance& instance, const DeviceInfo& info, DeviceOptions options = {});
    /// Works on the host's device.
    explicit Device(const AdoptedDevice& adopted, DeviceOptions options = {});
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const DeviceInfo& info() const { return info_; }
    const Limits& limits() const { return limits_; }              ///< after lowering
    CapabilitySet capabilities() const { return capabilities_; }  ///< what kernels should use: recommended and allowed
    CapabilitySet enabled() const { return enabled_; }  ///< what modules may use: adds DOT that is not accelerated
    bool subgroupSizeControl() const { return subgroupSizeControl_; }
    /// Host and device share memory: views of intent Device are mapped.
    bool mapsDeviceMemory() const { return info_.unifiedMemory() && options_.mapDeviceMemory; }

    /// Hands an ended recorder to the queue. Throws Error(DeviceLost). One submission of a recorder at a time.
    void submit(Recorder& recorder);
    /// Waits for the recorder's submission; returns at once when there is none. Throws Error(DeviceLost) when the
    /// driver gave up or the wait limit passed.
    void wait(Recorder& recorder);
    /// Whether the recorder's submission has ended; true when there is none. Does not wait. Throws Error(DeviceLost),
    /// also when the wait limit has passed since its submission.
    bool finished(Recorder& recorder);
    void submitAndWait(Recorder& recorder) {
        submit(recorder);
        wait(recorder);
    }

    /// For the classes of this floor: raw submission of one command buffer, bounded wait on a fence.
    void submit(VkCommandBuffer commands, VkFence fence);
    void wait(VkFence fence);

    const DeviceDispatch& dispatch() const { return vk_; }
    VkDevice handle() const { return handle_; }
    const VkAllocationCallbacks* allocator() const { return options_.hostAllocator; }
    bool hasQueue() const { return queue_ != VK_NULL_HANDLE; }  ///< false: nothing can be submitted
    uint32_t queueFamily() const { return queueFamily_; }

    /// Device memory, from the host where it gave functions for it. For Buffer.
    VkResult allocateMemory(const VkMemoryAllocateInfo& info, VkDeviceMemory& memory);
    void freeMemory(VkDeviceMemory memory) noexcept;

    /// A hung submission still owns its objects: after that nothing on this device is destroyed, only forgotten.
    bool abandoned() const { return abandoned_; }

    /// Memory accounting against limits().heapBytes; throws Error(OutOfMemory) when a lowered heap would overflow.
    void reserveDeviceBytes(uint64_t sizeBytes);
    void releaseDeviceBytes(uint64_t sizeBytes) { deviceBytes_ -= sizeBytes; }
    uint64_t deviceBytes() const { return deviceBytes_; }  ///< allocated now with intent Device or DeviceVisible
    /// What may still be allocated: of the caller's budget, or else of what the driver says about its heaps.
    uint64_t availableBytes() const;

  private:
    void open(const Instance& instance);
    [[noreturn]] void giveUp();
    VkResult create(const InstanceDispatch& vk, VkDeviceCreateInfo info);

    DeviceInfo info_;
    Limits limits_;
    DeviceOptions options_;
    CapabilitySet capabilities_;
    CapabilitySet enabled_;
    bool subgroupSizeControl_ = false;
    bool owned_ = true;
    bool abandoned_ = false;
    DeviceDispatch vk_;
    VkDevice handle_ = VK_NULL_HANDLE;
    VkQueue queue_ = VK_NULL_HANDLE;
    uint32_t queueFamily_ = 0;
    std::function<void()> lockQueue_;
    std::function<void()> unlockQueue_;
    uint64_t deviceBytes_ = 0;
    uint64_t budgetBytes_ = 0;
};

}  // namespace vulcat::vk
