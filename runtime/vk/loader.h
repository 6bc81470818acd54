#pragma once
// Opens the system's Vulkan loader at run time, so that a program without Vulkan still starts and can say what is missing.

#include "vk/vulkan.h"

namespace vulcat::vk {

/// Keeps libvulkan open as long as it lives.
class Loader {
  public:
    /// Opens the system's loader (libvulkan.so.1, vulkan-1.dll); throws Error(NoDevice) when there is none.
    Loader();
    /// Uses the caller's entry point (a host application, a test); opens nothing. Precondition: not null.
    explicit Loader(PFN_vkGetInstanceProcAddr getInstanceProcAddr);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    PFN_vkGetInstanceProcAddr getInstanceProcAddr() const { return getInstanceProcAddr_; }

  private:
    void* library_ = nullptr;
    PFN_vkGetInstanceProcAddr getInstanceProcAddr_ = nullptr;
};

}  // namespace vulcat::vk
