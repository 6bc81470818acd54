#pragma once
// Dear ImGui on the renderer's device: the story's box and the controls.

#include "gpu.h"

#include <string>

class Overlay {
  public:
    Overlay(const Gpu& gpu, GLFWwindow* window, VkRenderPass renderPass, uint32_t imageCount);
    ~Overlay();
    Overlay(const Overlay&) = delete;

    struct Controls {
        bool generate = true;
        int budgetUs = 4000;
        bool again = false;  // asked for a new story in this frame
    };
    struct Shown {
        const std::string& story;
        std::string device;
        float frameMs;
        float tokensPerSecond;
    };
    /// Lays out this frame's boxes and records them.
    void draw(VkCommandBuffer commands, Controls& controls, const Shown& shown);

  private:
    const Gpu& gpu_;
    VkDescriptorPool pool_ = VK_NULL_HANDLE;
};
