#pragma once
// What the window shows behind the story: a field of columns in waves, and a camera that circles it.

#include "gpu.h"

class Scene {
  public:
    Scene(const Gpu& gpu, VkRenderPass renderPass);
    ~Scene();
    Scene(const Scene&) = delete;

    /// Records one pipeline, its push constants and one draw.
    void draw(VkCommandBuffer commands, VkExtent2D extent, float timeSeconds) const;

  private:
    void createPipeline(VkRenderPass renderPass, VkShaderModule vertex, VkShaderModule fragment);

    const Gpu& gpu_;
    VkPipelineLayout layout_ = VK_NULL_HANDLE;
    VkPipeline pipeline_ = VK_NULL_HANDLE;
};
