#include "gpu.h"

#include <optional>
#include <vector>

namespace {

std::vector<VkQueueFamilyProperties> queueFamilies(VkPhysicalDevice physical) {
    uint32_t count = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
    return families;
}

std::optional<uint32_t> drawingFamily(VkPhysicalDevice physical, VkSurfaceKHR surface) {
    const std::vector<VkQueueFamilyProperties> families = queueFamilies(physical);
    for (uint32_t i = 0; i < families.size(); ++i) {
        VkBool32 presents = VK_FALSE;
        vkGetPhysicalDeviceSurfaceSupportKHR(physical, i, surface, &presents);
        const VkQueueFlags needed = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;
        if (presents && (families[i].queueFlags & needed) == needed) return i;
    }
    return std::nullopt;
}

}  // namespace

Gpu::Gpu(GLFWwindow* window) {
    uint32_t count = 0;
    const char** extensions = glfwGetRequiredInstanceExtensions(&count);
    if (extensions == nullptr) throw std::runtime_error("GLFW finds no Vulkan for this display");
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = "story_window";
    application.apiVersion = VK_API_VERSION_1_1;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    info.enabledExtensionCount = count;
    info.ppEnabledExtensionNames = extensions;
    check(vkCreateInstance(&info, nullptr, &instance), "vkCreateInstance");
    check(glfwCreateWindowSurface(instance, window, nullptr, &surface), "glfwCreateWindowSurface");
    if (!chooseDevice()) throw std::runtime_error("no Vulkan device draws to this window and runs vulcat");
    createDevice();
}

Gpu::~Gpu() {
    vkDestroyDevice(device, nullptr);
    vkDestroySurfaceKHR(instance, surface, nullptr);
    vkDestroyInstance(instance, nullptr);
}

bool Gpu::chooseDevice() {
    uint32_t count = 0;
    vkEnumeratePhysicalDevices(instance, &count, nullptr);
    std::vector<VkPhysicalDevice> devices(count);
    vkEnumeratePhysicalDevices(instance, &count, devices.data());
    for (VkPhysicalDevice candidate : devices) {
        const std::optional<uint32_t> family = drawingFamily(candidate, surface);
        VulcatDeviceQuery query{};
        query.structSize = sizeof query;
        query.getInstanceProcAddr = reinterpret_cast<VulcatFunction>(vkGetInstanceProcAddr);
        query.instance = instance;
        query.physicalDevice = candidate;
        support_ = {};
        support_.structSize = sizeof support_;
        if (!family || vulcatQueryDevice(&query, &support_) != VULCAT_SUCCESS || !support_.usable) continue;
        physical = candidate;
        drawFamily = *family;
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(physical, &properties);
        name = properties.deviceName;
        return true;
    }
    return false;
}

// One queue for drawing and, where the device has another, one for vulcat with the lowest priority: of vulcat's preferred
// family, or a second one of the drawing family.
void Gpu::createDevice() {
    const float priorities[] = {1.0f, 0.0f};
    std::vector<VkDeviceQueueCreateInfo> queues(1);
    queues[0].sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queues[0].queueFamilyIndex = drawFamily;
    queues[0].queueCount = 1;
    queues[0].pQueuePriorities = priorities;
    vulcatFamily_ = support_.queueFamily;
    uint32_t vulcatIndex = 0;
    if (vulcatFamily_ != drawFamily) {
        queues.push_back(queues[0]);
        queues[1].queueFamilyIndex = vulcatFamily_;
        queues[1].pQueuePriorities = priorities + 1;
    } else if (queueFamilies(physical)[drawFamily].queueCount > 1) {
        queues[0].queueCount = 2;
        vulcatIndex = 1;
    }

    std::vector<const char*> extensions(support_.extensions, support_.extensions + support_.extensionCount);
    extensions.push_back(VK_KHR_SWAPCHAIN_EXTENSION_NAME);
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = support_.features;
    info.queueCreateInfoCount = static_cast<uint32_t>(queues.size());
    info.pQueueCreateInfos = queues.data();
    info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    check(vkCreateDevice(physical, &info, nullptr, &device), "vkCreateDevice");
    vkGetDeviceQueue(device, drawFamily, 0, &drawQueue);
    vkGetDeviceQueue(device, vulcatFamily_, vulcatIndex, &vulcatQueue_);
}

VulcatHostDevice Gpu::forVulcat() const {
    VulcatHostDevice host{};
    host.structSize = sizeof host;
    host.getInstanceProcAddr = reinterpret_cast<VulcatFunction>(vkGetInstanceProcAddr);
    host.instance = instance;
    host.physicalDevice = physical;
    host.device = device;
    host.queueFamily = vulcatFamily_;
    host.queue = vulcatQueue_;
    host.capabilities = support_.capabilities;
    return host;
}

uint32_t Gpu::memoryType(uint32_t allowedBits, VkMemoryPropertyFlags properties) const {
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
        if ((allowedBits >> i & 1) != 0 && (memory.memoryTypes[i].propertyFlags & properties) == properties) return i;
    }
    throw std::runtime_error("no memory type for what the window needs");
}
