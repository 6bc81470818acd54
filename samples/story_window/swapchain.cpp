#include "swapchain.h"

#include <algorithm>

namespace {

constexpr VkFormat kDepthFormat = VK_FORMAT_D32_SFLOAT;

VkSurfaceFormatKHR chooseFormat(const Gpu& gpu) {
    uint32_t count = 0;
    vkGetPhysicalDeviceSurfaceFormatsKHR(gpu.physical, gpu.surface, &count, nullptr);
    std::vector<VkSurfaceFormatKHR> formats(count);
    vkGetPhysicalDeviceSurfaceFormatsKHR(gpu.physical, gpu.surface, &count, formats.data());
    for (const VkSurfaceFormatKHR& format : formats) {
        if (format.format == VK_FORMAT_B8G8R8A8_UNORM || format.format == VK_FORMAT_R8G8B8A8_UNORM) return format;
    }
    throw std::runtime_error("the window has no 8-bit colour format");
}

VkPresentModeKHR choosePresentMode(const Gpu& gpu, bool waitForDisplay) {
    uint32_t count = 0;
    vkGetPhysicalDeviceSurfacePresentModesKHR(gpu.physical, gpu.surface, &count, nullptr);
    std::vector<VkPresentModeKHR> modes(count);
    vkGetPhysicalDeviceSurfacePresentModesKHR(gpu.physical, gpu.surface, &count, modes.data());
    const bool immediate = std::find(modes.begin(), modes.end(), VK_PRESENT_MODE_IMMEDIATE_KHR) != modes.end();
    return !waitForDisplay && immediate ? VK_PRESENT_MODE_IMMEDIATE_KHR : VK_PRESENT_MODE_FIFO_KHR;
}

VkAttachmentDescription attachment(VkFormat format, VkAttachmentStoreOp store, VkImageLayout last) {
    VkAttachmentDescription description{};
    description.format = format;
    description.samples = VK_SAMPLE_COUNT_1_BIT;
    description.loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR;
    description.storeOp = store;
    description.stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE;
    description.stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE;
    description.finalLayout = last;
    return description;
}

VkImageView createView(VkDevice device, VkImage image, VkFormat format, VkImageAspectFlags aspect) {
    VkImageViewCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO;
    info.image = image;
    info.viewType = VK_IMAGE_VIEW_TYPE_2D;
    info.format = format;
    info.subresourceRange = {aspect, 0, 1, 0, 1};
    VkImageView view;
    check(vkCreateImageView(device, &info, nullptr, &view), "vkCreateImageView");
    return view;
}

VkSemaphore createSemaphore(VkDevice device) {
    VkSemaphoreCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    VkSemaphore semaphore;
    check(vkCreateSemaphore(device, &info, nullptr, &semaphore), "vkCreateSemaphore");
    return semaphore;
}

VkDeviceMemory allocate(const Gpu& gpu, const VkMemoryRequirements& needs, VkMemoryPropertyFlags properties) {
    VkMemoryAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    info.allocationSize = needs.size;
    info.memoryTypeIndex = gpu.memoryType(needs.memoryTypeBits, properties);
    VkDeviceMemory memory;
    check(vkAllocateMemory(gpu.device, &info, nullptr, &memory), "vkAllocateMemory");
    return memory;
}

}  // namespace

Swapchain::Swapchain(const Gpu& gpu, GLFWwindow* window, bool waitForDisplay)
    : gpu_(gpu), window_(window), waitForDisplay_(waitForDisplay), format_(chooseFormat(gpu)) {
    createRenderPass();
    createFrames();
    createTargets();
}

Swapchain::~Swapchain() {
    vkDeviceWaitIdle(gpu_.device);
    destroyTargets();
    vkDestroySwapchainKHR(gpu_.device, swapchain_, nullptr);
    for (const Frame& frame : frames_) {
        vkDestroySemaphore(gpu_.device, frame.acquired, nullptr);
        vkDestroyFence(gpu_.device, frame.done, nullptr);
    }
    vkDestroyCommandPool(gpu_.device, pool_, nullptr);
    vkDestroyRenderPass(gpu_.device, renderPass_, nullptr);
}

void Swapchain::createRenderPass() {
    const VkAttachmentDescription attachments[] = {
        attachment(format_.format, VK_ATTACHMENT_STORE_OP_STORE, VK_IMAGE_LAYOUT_PRESENT_SRC_KHR),
        attachment(kDepthFormat, VK_ATTACHMENT_STORE_OP_DONT_CARE, VK_IMAGE_LAYOUT_DEPTH_STENCIL_ATTACHMENT_OPTIMAL)};
    const VkAttachmentReference colour{0, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};
    const VkAttachmentReference depth{1, VK_IMAGE_LAYOUT_DEPTH_STENCIL_ATTACHMENT_OPTIMAL};
    VkSubpassDescription subpass{};
    subpass.colorAttachmentCount = 1;
    subpass.pColorAttachments = &colour;
    subpass.pDepthStencilAttachment = &depth;
    // The depth image is shared by the frames in flight, the colour image comes from the presentation engine.
    const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT |
                                        VK_PIPELINE_STAGE_EARLY_FRAGMENT_TESTS_BIT | VK_PIPELINE_STAGE_LATE_FRAGMENT_TESTS_BIT;
    const VkAccessFlags writes = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT | VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT;
    const VkSubpassDependency dependencies[] = {
        {VK_SUBPASS_EXTERNAL, 0, stages, stages, VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT,
         writes | VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_READ_BIT, 0},
        {0, VK_SUBPASS_EXTERNAL, VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
         VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT, VK_ACCESS_TRANSFER_READ_BIT, 0}};
    VkRenderPassCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO;
    info.attachmentCount = 2;
    info.pAttachments = attachments;
    info.subpassCount = 1;
    info.pSubpasses = &subpass;
    info.dependencyCount = 2;
    info.pDependencies = dependencies;
    check(vkCreateRenderPass(gpu_.device, &info, nullptr, &renderPass_), "vkCreateRenderPass");
}

void Swapchain::createFrames() {
    VkCommandPoolCreateInfo poolInfo{};
    poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    poolInfo.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
    poolInfo.queueFamilyIndex = gpu_.drawFamily;
    check(vkCreateCommandPool(gpu_.device, &poolInfo, nullptr, &pool_), "vkCreateCommandPool");
    for (Frame& frame : frames_) {
        VkCommandBufferAllocateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
        info.commandPool = pool_;
        info.commandBufferCount = 1;
        check(vkAllocateCommandBuffers(gpu_.device, &info, &frame.commands), "vkAllocateCommandBuffers");
        frame.acquired = createSemaphore(gpu_.device);
        VkFenceCreateInfo fence{};
        fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
        fence.flags = VK_FENCE_CREATE_SIGNALED_BIT;
        check(vkCreateFence(gpu_.device, &fence, nullptr, &frame.done), "vkCreateFence");
    }
}

void Swapchain::createTargets() {
    VkSurfaceCapabilitiesKHR surface;
    check(vkGetPhysicalDeviceSurfaceCapabilitiesKHR(gpu_.physical, gpu_.surface, &surface), "surface capabilities");
    int width = 0, height = 0;
    glfwGetFramebufferSize(window_, &width, &height);
    extent_ = surface.currentExtent;
    if (extent_.width == UINT32_MAX) extent_ = {static_cast<uint32_t>(width), static_cast<uint32_t>(height)};
    if (extent_.width == 0 || extent_.height == 0) return;  // minimised

    VkSwapchainCreateInfoKHR info{};
    info.sType = VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR;
    info.surface = gpu_.surface;
    info.minImageCount = std::max(surface.minImageCount, kFramesInFlight + 1);
    if (surface.maxImageCount != 0) info.minImageCount = std::min(info.minImageCount, surface.maxImageCount);
    info.imageFormat = format_.format;
    info.imageColorSpace = format_.colorSpace;
    info.imageExtent = extent_;
    info.imageArrayLayers = 1;
    info.imageUsage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | (surface.supportedUsageFlags & VK_IMAGE_USAGE_TRANSFER_SRC_BIT);
    info.preTransform = surface.currentTransform;
    info.compositeAlpha = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR;
    info.presentMode = choosePresentMode(gpu_, waitForDisplay_);
    info.clipped = VK_TRUE;
    info.oldSwapchain = swapchain_;
    check(vkCreateSwapchainKHR(gpu_.device, &info, nullptr, &swapchain_), "vkCreateSwapchainKHR");
    vkDestroySwapchainKHR(gpu_.device, info.oldSwapchain, nullptr);

    createDepth();
    uint32_t count = 0;
    vkGetSwapchainImagesKHR(gpu_.device, swapchain_, &count, nullptr);
    std::vector<VkImage> images(count);
    check(vkGetSwapchainImagesKHR(gpu_.device, swapchain_, &count, images.data()), "vkGetSwapchainImagesKHR");
    for (VkImage image : images) {
        Target target{image, createView(gpu_.device, image, format_.format, VK_IMAGE_ASPECT_COLOR_BIT), VK_NULL_HANDLE,
                      createSemaphore(gpu_.device)};
        const VkImageView views[] = {target.view, depthView_};
        VkFramebufferCreateInfo framebuffer{};
        framebuffer.sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO;
        framebuffer.renderPass = renderPass_;
        framebuffer.attachmentCount = 2;
        framebuffer.pAttachments = views;
        framebuffer.width = extent_.width;
        framebuffer.height = extent_.height;
        framebuffer.layers = 1;
        check(vkCreateFramebuffer(gpu_.device, &framebuffer, nullptr, &target.framebuffer), "vkCreateFramebuffer");
        targets_.push_back(target);
    }
}

void Swapchain::createDepth() {
    VkImageCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = kDepthFormat;
    info.extent = {extent_.width, extent_.height, 1};
    info.mipLevels = 1;
    info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.usage = VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;
    check(vkCreateImage(gpu_.device, &info, nullptr, &depth_), "vkCreateImage");
    VkMemoryRequirements needs;
    vkGetImageMemoryRequirements(gpu_.device, depth_, &needs);
    depthMemory_ = allocate(gpu_, needs, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    check(vkBindImageMemory(gpu_.device, depth_, depthMemory_, 0), "vkBindImageMemory");
    depthView_ = createView(gpu_.device, depth_, kDepthFormat, VK_IMAGE_ASPECT_DEPTH_BIT);
}

void Swapchain::destroyTargets() {
    for (const Target& target : targets_) {
        vkDestroyFramebuffer(gpu_.device, target.framebuffer, nullptr);
        vkDestroyImageView(gpu_.device, target.view, nullptr);
        vkDestroySemaphore(gpu_.device, target.drawn, nullptr);
    }
    targets_.clear();
    vkDestroyImageView(gpu_.device, depthView_, nullptr);
    vkDestroyImage(gpu_.device, depth_, nullptr);
    vkFreeMemory(gpu_.device, depthMemory_, nullptr);
    depthView_ = VK_NULL_HANDLE;
    depth_ = VK_NULL_HANDLE;
    depthMemory_ = VK_NULL_HANDLE;
}

std::optional<VkCommandBuffer> Swapchain::begin(const std::array<float, 4>& clearColour) {
    const Frame& frame = frames_[frame_];
    check(vkWaitForFences(gpu_.device, 1, &frame.done, VK_TRUE, UINT64_MAX), "vkWaitForFences");
    VkResult acquired = VK_ERROR_OUT_OF_DATE_KHR;
    if (!targets_.empty()) acquired = vkAcquireNextImageKHR(gpu_.device, swapchain_, UINT64_MAX, frame.acquired, VK_NULL_HANDLE, &image_);
    if (acquired == VK_ERROR_OUT_OF_DATE_KHR) {
        check(vkDeviceWaitIdle(gpu_.device), "vkDeviceWaitIdle");
        destroyTargets();
        createTargets();
        return std::nullopt;
    }
    check(acquired, "vkAcquireNextImageKHR");

    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    check(vkBeginCommandBuffer(frame.commands, &begin), "vkBeginCommandBuffer");
    VkClearValue clear[2]{};
    std::copy(clearColour.begin(), clearColour.end(), clear[0].color.float32);
    clear[1].depthStencil.depth = 1.0f;
    VkRenderPassBeginInfo pass{};
    pass.sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO;
    pass.renderPass = renderPass_;
    pass.framebuffer = targets_[image_].framebuffer;
    pass.renderArea.extent = extent_;
    pass.clearValueCount = 2;
    pass.pClearValues = clear;
    vkCmdBeginRenderPass(frame.commands, &pass, VK_SUBPASS_CONTENTS_INLINE);
    const VkViewport viewport{0, 0, static_cast<float>(extent_.width), static_cast<float>(extent_.height), 0, 1};
    vkCmdSetViewport(frame.commands, 0, 1, &viewport);
    const VkRect2D scissor{{}, extent_};
    vkCmdSetScissor(frame.commands, 0, 1, &scissor);
    return frame.commands;
}

void Swapchain::end(std::vector<uint8_t>* pixels) {
    const Frame& frame = frames_[frame_];
    frame_ = (frame_ + 1) % kFramesInFlight;
    vkCmdEndRenderPass(frame.commands);
    if (pixels != nullptr) recordReading(frame.commands);
    check(vkEndCommandBuffer(frame.commands), "vkEndCommandBuffer");
    check(vkResetFences(gpu_.device, 1, &frame.done), "vkResetFences");
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT;
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.waitSemaphoreCount = 1;
    submit.pWaitSemaphores = &frame.acquired;
    submit.pWaitDstStageMask = &stage;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &frame.commands;
    submit.signalSemaphoreCount = 1;
    submit.pSignalSemaphores = &targets_[image_].drawn;
    check(vkQueueSubmit(gpu_.drawQueue, 1, &submit, frame.done), "vkQueueSubmit");
    if (pixels != nullptr) *pixels = readPixels();

    VkPresentInfoKHR present{};
    present.sType = VK_STRUCTURE_TYPE_PRESENT_INFO_KHR;
    present.waitSemaphoreCount = 1;
    present.pWaitSemaphores = &targets_[image_].drawn;
    present.swapchainCount = 1;
    present.pSwapchains = &swapchain_;
    present.pImageIndices = &image_;
    const VkResult presented = vkQueuePresentKHR(gpu_.drawQueue, &present);
    // A window that changed its size is noticed by the next begin().
    if (presented != VK_ERROR_OUT_OF_DATE_KHR) check(presented, "vkQueuePresentKHR");
}

void Swapchain::recordReading(VkCommandBuffer commands) {
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = VkDeviceSize{extent_.width} * extent_.height * 4;
    info.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    check(vkCreateBuffer(gpu_.device, &info, nullptr, &reading_), "vkCreateBuffer");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu_.device, reading_, &needs);
    readingMemory_ = allocate(gpu_, needs, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    check(vkBindBufferMemory(gpu_.device, reading_, readingMemory_, 0), "vkBindBufferMemory");

    VkImageMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    barrier.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT;
    barrier.oldLayout = VK_IMAGE_LAYOUT_PRESENT_SRC_KHR;
    barrier.newLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.image = targets_[image_].image;
    barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    const VkPipelineStageFlags transfer = VK_PIPELINE_STAGE_TRANSFER_BIT;
    vkCmdPipelineBarrier(commands, transfer, transfer, 0, 0, nullptr, 0, nullptr, 1, &barrier);
    VkBufferImageCopy copy{};
    copy.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    copy.imageExtent = {extent_.width, extent_.height, 1};
    vkCmdCopyImageToBuffer(commands, barrier.image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, reading_, 1, &copy);
    std::swap(barrier.oldLayout, barrier.newLayout);
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_READ_BIT;
    barrier.dstAccessMask = 0;
    vkCmdPipelineBarrier(commands, transfer, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, nullptr, 0, nullptr, 1, &barrier);
}

std::vector<uint8_t> Swapchain::readPixels() {
    check(vkQueueWaitIdle(gpu_.drawQueue), "vkQueueWaitIdle");
    void* data = nullptr;
    check(vkMapMemory(gpu_.device, readingMemory_, 0, VK_WHOLE_SIZE, 0, &data), "vkMapMemory");
    const auto* bytes = static_cast<const uint8_t*>(data);
    std::vector<uint8_t> pixels(bytes, bytes + size_t{extent_.width} * extent_.height * 4);
    for (size_t i = 0; i < pixels.size(); i += 4) {
        if (format_.format == VK_FORMAT_B8G8R8A8_UNORM) std::swap(pixels[i], pixels[i + 2]);
        pixels[i + 3] = 255;
    }
    vkDestroyBuffer(gpu_.device, reading_, nullptr);
    vkFreeMemory(gpu_.device, readingMemory_, nullptr);
    reading_ = VK_NULL_HANDLE;
    readingMemory_ = VK_NULL_HANDLE;
    return pixels;
}
