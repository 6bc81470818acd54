#pragma once
// Floor `vk`: devices, memory, pipelines and recording for compute. It knows no tensor and no model.
//
//   Instance -> DeviceInfo -> chooseDevice() -> Device        what is there, which one, opened
//   Arena, Buffer, BufferView, TexelView, Uploader            memory by intent; a view is the GPU's span
//   PipelineLibrary                                           pipelines made once from the embedded modules
//   Recorder, Profiler                                        dispatches with their barriers; times per label
//
// Every object keeps a reference to what it was made from, which must outlive it. One Device with all that hangs on it
// is used by one thread at a time; two devices are independent. Nothing here reads the environment.

#include "base/error.h"
#include "vk/device_info.h"
#include "vk/loader.h"

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace vulcat::vk {

enum class MessageSeverity { Info, Warning, Error };

/// Called by the driver's threads or ours while a Vulkan call is running; must not call Vulkan.
using MessageCallback = std::function<void(MessageSeverity, std::string_view)>;

struct InstanceOptions {
    PFN_vkGetInstanceProcAddr getInstanceProcAddr = nullptr;  ///< null: open libvulkan.so.1
    bool validation =
        false;  ///< Khronos validation with synchronisation validation; Error(Unsupported) if not installed
    MessageCallback messages;  ///< may be empty
    std::string applicationName = "vulcat";
};

class Instance {
  public:
    /// Throws Error(NoDevice) when there is no loader or it is older than Vulkan 1.1.
    explicit Instance(InstanceOptions options = {});
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    /// The devices in the driver's order; empty when no driver is installed. Includes unusable ones.
    const std::vector<DeviceInfo>& physicalDevices() const { return devices_; }

    /// Warnings and errors of the validation layer so far (0 without validation).
    uint32_t validationMessageCount() const;

    /// Nothing is destroyed any more, only forgotten: a device that never ends its work still needs its instance.
    void abandon() { abandoned_ = true; }

    uint32_t version() const { return version_; }  ///< the API version asked for: at most 1.3
    const InstanceDispatch& dispatch() const { return vk_; }
    VkInstance handle() const { return handle_; }
    PFN_vkGetInstanceProcAddr getInstanceProcAddr() const { return loader_->getInstanceProcAddr(); }

  private:
    struct MessageSink;
    static VKAPI_ATTR VkBool32 VKAPI_CALL receiveMessage(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                         VkDebugUtilsMessageTypeFlagsEXT types,
                                                         const VkDebugUtilsMessengerCallbackDataEXT* data, void* sink);
    void create(const GlobalDispatch& global, const InstanceOptions& options);
    void listDevices();

    std::unique_ptr<Loader> loader_;
    std::unique_ptr<MessageSink> sink_;
    uint32_t version_ = VK_API_VERSION_1_1;
    InstanceDispatch vk_;
    VkInstance handle_ = VK_NULL_HANDLE;
    bool abandoned_ = false;
    VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
    std::vector<DeviceInfo> devices_;
};

}  // namespace vulcat::vk
