#include "overlay.h"

#include <backends/imgui_impl_glfw.h>
#include <backends/imgui_impl_vulkan.h>
#include <imgui.h>

namespace {

void uploadFonts(const Gpu& gpu) {
    VkCommandPoolCreateInfo poolInfo{};
    poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    poolInfo.queueFamilyIndex = gpu.drawFamily;
    VkCommandPool pool;
    check(vkCreateCommandPool(gpu.device, &poolInfo, nullptr, &pool), "vkCreateCommandPool");
    VkCommandBufferAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    info.commandPool = pool;
    info.commandBufferCount = 1;
    VkCommandBuffer commands;
    check(vkAllocateCommandBuffers(gpu.device, &info, &commands), "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    ImGui_ImplVulkan_CreateFontsTexture(commands);
    check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands;
    check(vkQueueSubmit(gpu.drawQueue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    check(vkQueueWaitIdle(gpu.drawQueue), "vkQueueWaitIdle");
    ImGui_ImplVulkan_DestroyFontUploadObjects();
    vkDestroyCommandPool(gpu.device, pool, nullptr);
}

}  // namespace

Overlay::Overlay(const Gpu& gpu, GLFWwindow* window, VkRenderPass renderPass, uint32_t imageCount) : gpu_(gpu) {
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 4};
    VkDescriptorPoolCreateInfo poolInfo{};
    poolInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    poolInfo.flags = VK_DESCRIPTOR_POOL_CREATE_FREE_DESCRIPTOR_SET_BIT;
    poolInfo.maxSets = 4;
    poolInfo.poolSizeCount = 1;
    poolInfo.pPoolSizes = &size;
    check(vkCreateDescriptorPool(gpu_.device, &poolInfo, nullptr, &pool_), "vkCreateDescriptorPool");

    ImGui::CreateContext();
    ImGui::GetIO().IniFilename = nullptr;  // leaves no file behind
    ImGui::GetIO().FontGlobalScale = 1.25f;
    ImGui::GetStyle().WindowRounding = 6.0f;
    ImGui_ImplGlfw_InitForVulkan(window, true);
    ImGui_ImplVulkan_InitInfo info{};
    info.Instance = gpu_.instance;
    info.PhysicalDevice = gpu_.physical;
    info.Device = gpu_.device;
    info.QueueFamily = gpu_.drawFamily;
    info.Queue = gpu_.drawQueue;
    info.DescriptorPool = pool_;
    info.MinImageCount = 2;
    info.ImageCount = imageCount;
    info.MSAASamples = VK_SAMPLE_COUNT_1_BIT;
    info.CheckVkResultFn = [](VkResult result) { check(result, "Dear ImGui"); };
    ImGui_ImplVulkan_Init(&info, renderPass);
    uploadFonts(gpu_);
}

Overlay::~Overlay() {
    vkDeviceWaitIdle(gpu_.device);
    ImGui_ImplVulkan_Shutdown();
    ImGui_ImplGlfw_Shutdown();
    ImGui::DestroyContext();
    vkDestroyDescriptorPool(gpu_.device, pool_, nullptr);
}

void Overlay::draw(VkCommandBuffer commands, Controls& controls, const Shown& shown) {
    ImGui_ImplVulkan_NewFrame();
    ImGui_ImplGlfw_NewFrame();
    ImGui::NewFrame();
    const ImVec2 screen = ImGui::GetIO().DisplaySize;
    const ImGuiWindowFlags fixed = ImGuiWindowFlags_NoResize | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoCollapse;

    ImGui::SetNextWindowPos({16, 16});
    ImGui::SetNextWindowSize({370, 0});
    ImGui::SetNextWindowBgAlpha(0.75f);
    ImGui::Begin("vulcat", nullptr, fixed);
    ImGui::TextWrapped("%s", shown.device.c_str());
    ImGui::Checkbox("tell a story", &controls.generate);
    ImGui::SliderInt("us a frame", &controls.budgetUs, 500, 20000);
    controls.again = ImGui::Button("another one");
    ImGui::Text("%.1f ms a frame, %.1f tokens a second", double(shown.frameMs), double(shown.tokensPerSecond));
    ImGui::End();

    ImGui::SetNextWindowPos({16, screen.y - 16}, 0, {0, 1});
    ImGui::SetNextWindowSize({screen.x - 32, 150});
    ImGui::SetNextWindowBgAlpha(0.75f);
    ImGui::Begin("story", nullptr, fixed | ImGuiWindowFlags_NoTitleBar);
    ImGui::TextWrapped("%s", shown.story.c_str());
    ImGui::SetScrollHereY(1.0f);
    ImGui::End();

    ImGui::Render();
    ImGui_ImplVulkan_RenderDrawData(ImGui::GetDrawData(), commands);
}
