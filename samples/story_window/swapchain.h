#pragma once
// The window's images and the frames drawn into them: one colour and one depth attachment, two frames in flight.

#include "gpu.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

class Swapchain {
  public:
    static constexpr uint32_t kFramesInFlight = 2;

    /// waitForDisplay: frames come at the display's pace. Otherwise as fast as they are drawn, for measuring.
    Swapchain(const Gpu& gpu, GLFWwindow* window, bool waitForDisplay);
    ~Swapchain();
    Swapchain(const Swapchain&) = delete;

    VkRenderPass renderPass() const { return renderPass_; }
    VkExtent2D extent() const { return extent_; }
    uint32_t imageCount() const { return static_cast<uint32_t>(targets_.size()); }

    /// Begins a frame: inside the render pass, viewport and scissor set. Nothing when there is no image to draw to (the window
    /// changed its size or is minimised); the next call tries again.
    std::optional<VkCommandBuffer> begin(const std::array<float, 4>& clearColour);
    /// Ends the frame begun, submits and presents it. With `pixels`, also reads it back as RGBA bytes, and waits for that.
    void end(std::vector<uint8_t>* pixels = nullptr);

  private:
    struct Target {
        VkImage image;
        VkImageView view;
        VkFramebuffer framebuffer;
        VkSemaphore drawn;
    };
    struct Frame {
        VkCommandBuffer commands;
        VkSemaphore acquired;
        VkFence done;
    };

    void createRenderPass();
    void createFrames();
    void createTargets();
    void createDepth();
    void destroyTargets();
    void recordReading(VkCommandBuffer commands);
    std::vector<uint8_t> readPixels();

    const Gpu& gpu_;
    GLFWwindow* window_;
    bool waitForDisplay_;
    VkSurfaceFormatKHR format_{};
    VkExtent2D extent_{};
    VkRenderPass renderPass_ = VK_NULL_HANDLE;
    VkSwapchainKHR swapchain_ = VK_NULL_HANDLE;
    VkImage depth_ = VK_NULL_HANDLE;
    VkDeviceMemory depthMemory_ = VK_NULL_HANDLE;
    VkImageView depthView_ = VK_NULL_HANDLE;
    VkBuffer reading_ = VK_NULL_HANDLE;
    VkDeviceMemory readingMemory_ = VK_NULL_HANDLE;
    std::vector<Target> targets_;
    VkCommandPool pool_ = VK_NULL_HANDLE;
    std::array<Frame, kFramesInFlight> frames_{};
    uint32_t frame_ = 0;
    uint32_t image_ = 0;
};
