// One quantised linear layer inside a program that has its own Vulkan: the host makes instance, device, queue and buffers, vulcat
// says what to enable and records the layer into the host's command buffer. vulcat submits nothing here but the upload of
// the weights.   embed_host_device [ROWS]
#include "vulcat.h"

#include <vulkan/vulkan.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr uint32_t kInputs = 1024, kOutputs = 768;

void check(VkResult result, const char* what) {
    if (result != VK_SUCCESS) throw std::runtime_error(std::string(what) + ": VkResult " + std::to_string(result));
}

void check(VulcatResult result, VulcatContext context, const char* what) {
    if (result != VULCAT_SUCCESS) throw std::runtime_error(std::string(what) + ": " + vulcatContextErrorText(context));
}

// A zeroed struct of the type.
template <class T>
T typed(VkStructureType type) {
    T made{};
    made.sType = type;
    return made;
}

// A host-visible buffer, as small as a sample's needs.
struct Buffer {
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    std::span<float> floats;
};

struct Host {
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physical = VK_NULL_HANDLE;
    VkDevice device = VK_NULL_HANDLE;
    VkQueue queue = VK_NULL_HANDLE;
    VkCommandPool pool = VK_NULL_HANDLE;
    VulcatDeviceSupport support{};

    Host() {
        auto application = typed<VkApplicationInfo>(VK_STRUCTURE_TYPE_APPLICATION_INFO);
        application.apiVersion = VK_API_VERSION_1_1;
        auto instanceInfo = typed<VkInstanceCreateInfo>(VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO);
        instanceInfo.pApplicationInfo = &application;
        check(vkCreateInstance(&instanceInfo, nullptr, &instance), "vkCreateInstance");
        uint32_t count = 1;
        if (vkEnumeratePhysicalDevices(instance, &count, &physical) < 0 || count == 0) throw std::runtime_error("no Vulkan device");

        // First step: what should this device be created with?
        VulcatDeviceQuery query{};
        query.structSize = sizeof query;
        query.getInstanceProcAddr = reinterpret_cast<VulcatFunction>(vkGetInstanceProcAddr);
        query.instance = instance;
        query.physicalDevice = physical;
        support.structSize = sizeof support;
        check(vulcatQueryDevice(&query, &support), nullptr, "vulcatQueryDevice");
        if (!support.usable) throw std::runtime_error(support.reason);

        const float priority = 0.5f;
        auto queueInfo = typed<VkDeviceQueueCreateInfo>(VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO);
        queueInfo.queueFamilyIndex = support.queueFamily;
        queueInfo.queueCount = 1;
        queueInfo.pQueuePriorities = &priority;
        auto deviceInfo = typed<VkDeviceCreateInfo>(VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO);
        deviceInfo.pNext = support.features;
        deviceInfo.queueCreateInfoCount = 1;
        deviceInfo.pQueueCreateInfos = &queueInfo;
        deviceInfo.enabledExtensionCount = support.extensionCount;
        deviceInfo.ppEnabledExtensionNames = support.extensions;
        check(vkCreateDevice(physical, &deviceInfo, nullptr, &device), "vkCreateDevice");
        vkGetDeviceQueue(device, support.queueFamily, 0, &queue);
        const VkCommandPoolCreateInfo poolInfo{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, nullptr, 0, support.queueFamily};
        check(vkCreateCommandPool(device, &poolInfo, nullptr, &pool), "vkCreateCommandPool");
    }
    Host(const Host&) = delete;
    ~Host() {
        if (device != VK_NULL_HANDLE) vkDestroyCommandPool(device, pool, nullptr), vkDestroyDevice(device, nullptr);
        vkDestroyInstance(instance, nullptr);
    }

    Buffer createBuffer(size_t floats, VkBufferUsageFlags usage) const {
        Buffer made;
        auto info = typed<VkBufferCreateInfo>(VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO);
        info.size = floats * sizeof(float);
        info.usage = usage;
        check(vkCreateBuffer(device, &info, nullptr, &made.buffer), "vkCreateBuffer");
        VkMemoryRequirements needs;
        vkGetBufferMemoryRequirements(device, made.buffer, &needs);
        VkPhysicalDeviceMemoryProperties memory;
        vkGetPhysicalDeviceMemoryProperties(physical, &memory);
        constexpr VkMemoryPropertyFlags kMapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
        VkMemoryAllocateInfo allocation{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, nullptr, needs.size, 0};
        while ((needs.memoryTypeBits >> allocation.memoryTypeIndex & 1) == 0 ||
               (memory.memoryTypes[allocation.memoryTypeIndex].propertyFlags & kMapped) != kMapped) {
            if (++allocation.memoryTypeIndex == memory.memoryTypeCount) throw std::runtime_error("no mappable memory");
        }
        check(vkAllocateMemory(device, &allocation, nullptr, &made.memory), "vkAllocateMemory");
        check(vkBindBufferMemory(device, made.buffer, made.memory, 0), "vkBindBufferMemory");
        void* data = nullptr;
        check(vkMapMemory(device, made.memory, 0, VK_WHOLE_SIZE, 0, &data), "vkMapMemory");
        made.floats = {static_cast<float*>(data), floats};
        return made;
    }

    void destroy(Buffer& b) const { vkDestroyBuffer(device, b.buffer, nullptr), vkFreeMemory(device, b.memory, nullptr); }
};

// Records what `record` records, submits it to the host's queue and waits.
template <class Record>
void submit(const Host& host, Record&& record) {
    VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr, host.pool, VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
    VkCommandBuffer commands;
    check(vkAllocateCommandBuffers(host.device, &info, &commands), "vkAllocateCommandBuffers");
    auto begin = typed<VkCommandBufferBeginInfo>(VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO);
    check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    record(commands);
    check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    auto submission = typed<VkSubmitInfo>(VK_STRUCTURE_TYPE_SUBMIT_INFO);
    submission.commandBufferCount = 1;
    submission.pCommandBuffers = &commands;
    check(vkQueueSubmit(host.queue, 1, &submission, VK_NULL_HANDLE), "vkQueueSubmit");
    check(vkQueueWaitIdle(host.queue), "vkQueueWaitIdle");
}

// How much of y is not W x, as a signal-to-noise ratio.
double signalToNoise(std::span<const float> weights, std::span<const float> x, std::span<const float> y, uint32_t rows) {
    double signal = 0, noise = 0;
    for (uint32_t m = 0; m < rows; ++m) {
        for (uint32_t n = 0; n < kOutputs; ++n) {
            double exact = 0;
            for (uint32_t k = 0; k < kInputs; ++k) exact += double{weights[n * kInputs + k]} * double{x[m * kInputs + k]};
            const double error = double{y[m * kOutputs + n]} - exact;
            signal += exact * exact;
            noise += error * error;
        }
    }
    return 10 * std::log10(signal / noise);
}

// Second step: hand the device over, with what was enabled.
VulcatContext createContext(const Host& host) {
    VulcatHostDevice hostDevice{};
    hostDevice.structSize = sizeof hostDevice;
    hostDevice.getInstanceProcAddr = reinterpret_cast<VulcatFunction>(vkGetInstanceProcAddr);
    hostDevice.instance = host.instance;
    hostDevice.physicalDevice = host.physical;
    hostDevice.device = host.device;
    hostDevice.queueFamily = host.support.queueFamily;
    hostDevice.queue = host.queue;
    hostDevice.capabilities = host.support.capabilities;
    char why[512] = "";
    VulcatContextInfo info{};
    info.structSize = sizeof info;
    info.host = &hostDevice;
    info.errorText = why;
    info.errorTextSize = sizeof why;
    VulcatContext context = nullptr;
    if (vulcatCreateContext(&info, &context) != VULCAT_SUCCESS) throw std::runtime_error(why);
    return context;
}

// Third: a layer from the host's own weights, rounded to 4 bits with a scale for every 64 inputs.
VulcatLinear createLinear(VulcatContext context, std::span<const float> weights, uint32_t maxRows) {
    VulcatLinearInfo info{};
    info.structSize = sizeof info;
    info.inputs = kInputs;
    info.outputs = kOutputs;
    info.weightBits = 4;
    info.groupSize = 64;
    info.weights = weights.data();
    info.activationBits = 8;
    info.maxRows = maxRows;
    VulcatLinear linear = nullptr;
    check(vulcatCreateLinear(context, &info, &linear), context, "vulcatCreateLinear");
    return linear;
}

int run(uint32_t rows) {
    Host host;
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> weights(size_t{kOutputs} * kInputs);
    for (float& w : weights) w = normal(random);
    VulcatContext context = createContext(host);
    VulcatLinear linear = createLinear(context, weights, rows);
    VulcatLinearProperties properties{};
    properties.structSize = sizeof properties;
    check(vulcatLinearProperties(linear, &properties), context, "vulcatLinearProperties");

    // Each frame: the layer between the host's other commands, in the host's command buffer, on the host's buffers.
    Buffer input = host.createBuffer(size_t{rows} * kInputs, properties.bufferUsage);
    Buffer output = host.createBuffer(size_t{rows} * kOutputs, properties.bufferUsage);
    for (float& x : input.floats) x = normal(random);
    submit(host, [&](VkCommandBuffer commands) {
        VulcatLinearRun linearRun{};
        linearRun.structSize = sizeof linearRun;
        linearRun.commandBuffer = commands;
        linearRun.input = (uint64_t)input.buffer;
        linearRun.output = (uint64_t)output.buffer;
        linearRun.rows = rows;
        check(vulcatCmdLinear(linear, &linearRun), context, "vulcatCmdLinear");
    });
    const double decibel = signalToNoise(weights, input.floats, output.floats, rows);
    std::printf("%u rows through a %ux%u layer of 4-bit weights (%.0f KiB instead of %.0f): %.1f dB\n", rows, kOutputs, kInputs,
                double(properties.weightsBytes) / 1024, double(weights.size() * sizeof(float)) / 1024, decibel);

    host.destroy(input);
    host.destroy(output);
    vulcatDestroyLinear(linear);
    vulcatDestroyContext(context);
    // Rounding normally distributed values to 4 bits with a scale for 64 of them leaves about 20 dB.
    return decibel > 18 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : 5);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
