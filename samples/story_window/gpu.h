#pragma once
// The host's Vulkan: instance, device and queues, made so that both the renderer and vulcat can work on them.

#include "vulcat.h"

#define GLFW_INCLUDE_VULKAN
#include <GLFW/glfw3.h>

#include <stdexcept>
#include <string>

inline void check(VkResult result, const char* what) {
    if (result < 0) throw std::runtime_error(std::string(what) + ": VkResult " + std::to_string(result));
}

class Gpu {
  public:
    /// Takes the first device that can draw to the window and run vulcat.
    explicit Gpu(GLFWwindow* window);
    ~Gpu();
    Gpu(const Gpu&) = delete;

    VkInstance instance = VK_NULL_HANDLE;
    VkSurfaceKHR surface = VK_NULL_HANDLE;
    VkPhysicalDevice physical = VK_NULL_HANDLE;
    VkDevice device = VK_NULL_HANDLE;
    uint32_t drawFamily = 0;  // draws and presents
    VkQueue drawQueue = VK_NULL_HANDLE;
    std::string name;

    /// The same device for vulcat: with a queue of its own where the device has one to give, else the renderer's.
    VulcatHostDevice forVulcat() const;
    bool ownQueue() const { return vulcatQueue_ != drawQueue; }

    uint32_t memoryType(uint32_t allowedBits, VkMemoryPropertyFlags properties) const;

  private:
    bool chooseDevice();
    void createDevice();

    VulcatDeviceSupport support_{};
    uint32_t vulcatFamily_ = 0;
    VkQueue vulcatQueue_ = VK_NULL_HANDLE;
};
