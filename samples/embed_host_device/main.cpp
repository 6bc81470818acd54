// One quantised linear layer inside a program that has its own Vulkan: the host makes instance, device, queue and buffer, vulcat
// says what to enable and records the layer into the host's command buffer. vulcat submits nothing here but the upload of
// the weights.   embed_host_device [ROWS]
#include "vulcat.hpp"

#include <vulkan/vulkan.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>

namespace {

constexpr uint32_t kInputs = 1024, kOutputs = 768;
const auto kLoader = reinterpret_cast<VulcatFunction>(vkGetInstanceProcAddr);

void check(VkResult result, const char* what) {
    if (result != VK_SUCCESS) throw std::runtime_error(std::string(what) + ": VkResult " + std::to_string(result));
}

// What any renderer has: a device with a queue and a command buffer, and here one buffer that the host maps.
struct Host {
    VkInstance instance = nullptr;
    VkPhysicalDevice physical = nullptr;
    VkDevice device = nullptr;
    VkQueue queue = nullptr;
    VkCommandPool pool = nullptr;
    VkCommandBuffer commands = nullptr;
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    VulcatDeviceSupport support{};

    Host() {
        VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO, nullptr, "", 0, "", 0, VK_API_VERSION_1_1};
        VkInstanceCreateInfo instanceInfo{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, nullptr, 0, &application, 0, nullptr, 0, nullptr};
        check(vkCreateInstance(&instanceInfo, nullptr, &instance), "vkCreateInstance");
        uint32_t count = 1;
        if (vkEnumeratePhysicalDevices(instance, &count, &physical) < 0 || count == 0) throw std::runtime_error("no Vulkan device");

        // First step: what should this device be created with?
        const VulcatDeviceQuery query{sizeof query, kLoader, instance, physical, VK_API_VERSION_1_1};
        support.structSize = sizeof support;
        if (vulcatQueryDevice(&query, &support) != VULCAT_SUCCESS || !support.usable) throw std::runtime_error(support.reason);

        const float priority = 0.5f;
        VkDeviceQueueCreateInfo queueInfo{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, nullptr, 0, support.queueFamily, 1, &priority};
        VkDeviceCreateInfo deviceInfo{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, support.features, 0, 1, &queueInfo, 0, nullptr,
                                      support.extensionCount, support.extensions, nullptr};
        check(vkCreateDevice(physical, &deviceInfo, nullptr, &device), "vkCreateDevice");
        vkGetDeviceQueue(device, support.queueFamily, 0, &queue);
        VkCommandPoolCreateInfo poolInfo{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, nullptr, 0, support.queueFamily};
        check(vkCreateCommandPool(device, &poolInfo, nullptr, &pool), "vkCreateCommandPool");
        VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr, pool, VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
        check(vkAllocateCommandBuffers(device, &info, &commands), "vkAllocateCommandBuffers");
    }
    Host(const Host&) = delete;
    ~Host() {
        if (device != nullptr) {
            vkDestroyBuffer(device, buffer, nullptr);
            vkFreeMemory(device, memory, nullptr);
            vkDestroyCommandPool(device, pool, nullptr);
            vkDestroyDevice(device, nullptr);
        }
        vkDestroyInstance(instance, nullptr);
    }

    float* createBuffer(VkDeviceSize bytes, VkBufferUsageFlags usage) {
        VkBufferCreateInfo info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, nullptr, 0, bytes, usage, VK_SHARING_MODE_EXCLUSIVE, 0, nullptr};
        check(vkCreateBuffer(device, &info, nullptr, &buffer), "vkCreateBuffer");
        VkMemoryRequirements needs;
        vkGetBufferMemoryRequirements(device, buffer, &needs);
        VkPhysicalDeviceMemoryProperties types;
        vkGetPhysicalDeviceMemoryProperties(physical, &types);
        constexpr VkMemoryPropertyFlags kMapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
        uint32_t type = 0;  // Vulkan promises one that fits
        while ((needs.memoryTypeBits >> type & 1) == 0 || (types.memoryTypes[type].propertyFlags & kMapped) != kMapped) ++type;
        VkMemoryAllocateInfo allocation{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, nullptr, needs.size, type};
        check(vkAllocateMemory(device, &allocation, nullptr, &memory), "vkAllocateMemory");
        check(vkBindBufferMemory(device, buffer, memory, 0), "vkBindBufferMemory");
        void* data = nullptr;
        check(vkMapMemory(device, memory, 0, VK_WHOLE_SIZE, 0, &data), "vkMapMemory");
        return static_cast<float*>(data);
    }

    template <class Record>
    void submit(const Record& record) {
        VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, nullptr, 0, nullptr};
        check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
        record();
        check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
        VkSubmitInfo submission{VK_STRUCTURE_TYPE_SUBMIT_INFO, nullptr, 0, nullptr, nullptr, 1, &commands, 0, nullptr};
        check(vkQueueSubmit(queue, 1, &submission, VK_NULL_HANDLE), "vkQueueSubmit");
        check(vkQueueWaitIdle(queue), "vkQueueWaitIdle");
    }
};

// Second step: hand the device over, with what was enabled.
vulcat::Context contextOn(const Host& host) {
    VulcatHostDevice device{sizeof device, kLoader, host.instance, host.physical, host.device, VK_API_VERSION_1_1, host.support.queueFamily,
                            host.queue, host.support.capabilities, nullptr, nullptr, nullptr};
    VulcatContextInfo info{};
    info.host = &device;
    return vulcat::Context(info);
}

// How much of y is not W x, as a signal-to-noise ratio in dB.
double signalToNoise(const std::vector<float>& weights, const float* x, const float* y, uint32_t rows) {
    double signal = 0, noise = 0;
    for (uint32_t i = 0; i < rows * kOutputs; ++i) {
        double exact = 0;
        for (uint32_t k = 0; k < kInputs; ++k) exact += double{weights[i % kOutputs * kInputs + k]} * double{x[i / kOutputs * kInputs + k]};
        signal += exact * exact;
        noise += (double{y[i]} - exact) * (double{y[i]} - exact);
    }
    return 10 * std::log10(signal / noise);
}

int run(uint32_t rows) {
    Host host;
    const vulcat::Context context = contextOn(host);
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> weights(size_t{kOutputs} * kInputs);
    for (float& w : weights) w = normal(random);

    // Third: a layer from the host's own weights, rounded to 4 bits with a scale for every 64 inputs.
    VulcatLinearInfo info{};
    info.inputs = kInputs;
    info.outputs = kOutputs;
    info.weightBits = 4;
    info.groupSize = 64;
    info.weights = weights.data();
    info.activationBits = 8;
    info.maxRows = rows;
    vulcat::Linear linear(context, info);
    const VulcatLinearProperties properties = linear.properties();

    // Each frame: the layer between the host's other commands, in the host's command buffer, on the host's buffer.
    const size_t step = properties.offsetAlignment;
    const size_t aligned = (size_t{rows} * kInputs * 4 + step - 1) / step * step;
    float* input = host.createBuffer(aligned + size_t{rows} * kOutputs * 4, properties.bufferUsage);
    for (size_t i = 0; i < size_t{rows} * kInputs; ++i) input[i] = normal(random);
    const auto buffer = (uint64_t)host.buffer;
    host.submit([&] { linear.record({0, host.commands, buffer, 0, buffer, aligned, rows, 0}); });
    const double decibel = signalToNoise(weights, input, input + aligned / 4, rows);
    std::printf("%u rows through a %ux%u layer of 4-bit weights (%.0f KiB instead of %.0f): %.1f dB\n", rows, kOutputs, kInputs,
                double(properties.weightsBytes) / 1024, double(weights.size() * sizeof(float)) / 1024, decibel);
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
