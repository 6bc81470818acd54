// The host's own device: queried, made by the host, handed over; layers recorded into the host's command buffer.
#include "vulcat.h"

#include "support/api_struct.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"
#include "support/shared_data.h"

#include "format/linear_reference.h"
#include "vk/check.h"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

using namespace vulcat;

namespace {

VulcatFunction loaderFunction(const vk::Instance& instance) {
    return reinterpret_cast<VulcatFunction>(instance.getInstanceProcAddr());
}

/// A device as a host makes it: what vulcatQueryDevice says, one queue, a command buffer, buffers of its own.
struct Host {
    test::GpuFixture gpu;  // instance with validation, and the check of its messages
    VulcatDeviceSupport support = vulcat::test::sized<VulcatDeviceSupport>();
    VkDevice device = VK_NULL_HANDLE;
    VkQueue queue = VK_NULL_HANDLE;
    vk::DeviceDispatch vk;
    int locks = 0;
    int unlocks = 0;

    Host() {
        const vk::Instance& instance = gpu.instance();
        auto query = vulcat::test::sized<VulcatDeviceQuery>();
        query.getInstanceProcAddr = loaderFunction(instance);
        query.instance = instance.handle();
        query.physicalDevice = gpu.device().info().handle;
        query.apiVersion = instance.version();
        REQUIRE(vulcatQueryDevice(&query, &support) == VULCAT_SUCCESS);
        REQUIRE(support.usable != 0);
        const float priority = 0.5f;
        VkDeviceQueueCreateInfo queueInfo{};
        queueInfo.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
        queueInfo.queueFamilyIndex = support.queueFamily;
        queueInfo.queueCount = 1;
        queueInfo.pQueuePriorities = &priority;
        VkDeviceCreateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
        info.pNext = support.features;
        info.queueCreateInfoCount = 1;
        info.pQueueCreateInfos = &queueInfo;
        info.enabledExtensionCount = support.extensionCount;
        info.ppEnabledExtensionNames = support.extensions;
        vk::check(instance.dispatch().vkCreateDevice(gpu.device().info().handle, &info, nullptr, &device), "device");
        vk = vk::loadDevice(instance.dispatch().vkGetDeviceProcAddr, device);
        vk.vkGetDeviceQueue(device, support.queueFamily, 0, &queue);
    }
    ~Host() {
        vk.vkDeviceWaitIdle(device);
        vk.vkDestroyDevice(device, nullptr);
    }

    VulcatHostDevice handles() {
        auto host = vulcat::test::sized<VulcatHostDevice>();
        host.getInstanceProcAddr = loaderFunction(gpu.instance());
        host.instance = gpu.instance().handle();
        host.physicalDevice = gpu.device().info().handle;
        host.device = device;
        host.apiVersion = gpu.instance().version();
        host.queueFamily = support.queueFamily;
        host.queue = queue;
        host.capabilities = support.capabilities;
        host.userData = this;
        host.lockQueue = [](void* self) { ++static_cast<Host*>(self)->locks; };
        host.unlockQueue = [](void* self) { ++static_cast<Host*>(self)->unlocks; };
        return host;
    }
};

struct AdoptedContext {
    VulcatContext context = nullptr;
    explicit AdoptedContext(const VulcatHostDevice& host, const VulcatMemoryFunctions* memory = nullptr,
                            const VkAllocationCallbacks* allocator = nullptr) {
        auto info = vulcat::test::sized<VulcatContextInfo>();
        char error[256] = "";
        info.host = &host;
        info.memory = memory;
        info.hostAllocator = allocator;
        info.errorText = error;
        info.errorTextSize = sizeof error;
        const VulcatResult result = vulcatCreateContext(&info, &context);
        REQUIRE_MESSAGE(result == VULCAT_SUCCESS, error);
    }
    ~AdoptedContext() { vulcatDestroyContext(context); }
};

/// Records the layer into a command buffer of a host device that a vk::Device stands for, and gives its output.
std::vector<float> runLayer(Host& host, VulcatContext context, VulcatLinear linear, const std::vector<float>& x,
                            uint32_t rows, uint32_t outputs, const std::vector<float>& residual) {
    vk::AdoptedDevice handles;
    handles.getInstanceProcAddr = host.gpu.instance().getInstanceProcAddr();
    handles.instance = host.gpu.instance().handle();
    handles.physicalDevice = host.gpu.device().info().handle;
    handles.device = host.device;
    handles.queue = host.queue;
    handles.queueFamily = host.support.queueFamily;
    handles.instanceVersion = host.gpu.instance().version();
    vk::Device device(handles);
    const vk::Buffer input(device, x.size() * sizeof(float), vk::MemoryIntent::Upload);
    const vk::Buffer output(device, size_t{rows} * outputs * sizeof(float), vk::MemoryIntent::Readback);
    std::memcpy(input.mapped(), x.data(), x.size() * sizeof(float));
    if (!residual.empty()) std::memcpy(output.mapped(), residual.data(), residual.size() * sizeof(float));

    VkCommandPoolCreateInfo poolInfo{};
    poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    poolInfo.queueFamilyIndex = host.support.queueFamily;
    VkCommandPool pool = VK_NULL_HANDLE;
    vk::check(host.vk.vkCreateCommandPool(host.device, &poolInfo, nullptr, &pool), "pool");
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool;
    allocate.commandBufferCount = 1;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    vk::check(host.vk.vkAllocateCommandBuffers(host.device, &allocate, &commands), "command buffer");
    VkFenceCreateInfo fenceInfo{};
    fenceInfo.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    VkFence fence = VK_NULL_HANDLE;
    vk::check(host.vk.vkCreateFence(host.device, &fenceInfo, nullptr, &fence), "fence");
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    vk::check(host.vk.vkBeginCommandBuffer(commands, &begin), "begin");
    auto run = vulcat::test::sized<VulcatLinearRun>();
    run.commandBuffer = commands;
    run.input = (uint64_t)input.view().buffer;
    run.output = (uint64_t)output.view().buffer;
    run.rows = rows;
    run.accumulate = residual.empty() ? 0 : 1;
    const VulcatResult recorded = vulcatCmdLinear(linear, &run);
    CHECK_MESSAGE(recorded == VULCAT_SUCCESS, std::string(vulcatContextErrorText(context)));
    VkMemoryBarrier toHost{};
    toHost.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    toHost.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
    toHost.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
    host.vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                                 &toHost, 0, nullptr, 0, nullptr);
    vk::check(host.vk.vkEndCommandBuffer(commands), "end");
    device.submit(commands, fence);
    device.wait(fence);
    host.vk.vkDestroyFence(host.device, fence, nullptr);
    host.vk.vkDestroyCommandPool(host.device, pool, nullptr);
    std::vector<float> y(size_t{rows} * outputs);
    std::memcpy(y.data(), output.mapped(), y.size() * sizeof(float));
    return y;
}

}  // namespace

TEST_CASE("a layer from float weights runs in the host's command buffer, bit for bit the reference") {
    Host host;
    const AdoptedContext adopted(host.handles());
    test::Rng rng(5);
    constexpr uint32_t kInputs = 100, kOutputs = 37, kRows = 5;
    const auto weights = rng.gaussians(kInputs * kOutputs);
    const auto bias = rng.gaussians(kOutputs);
    const auto x = rng.gaussians(kInputs * kRows);
    const auto residual = rng.gaussians(kOutputs * kRows);
    for (const uint32_t activationBits : {4u, 8u}) {
        auto info = vulcat::test::sized<VulcatLinearInfo>();
        info.inputs = kInputs;
        info.outputs = kOutputs;
        info.weightBits = 4;
        info.groupSize = 32;
        info.weights = weights.data();
        info.bias = bias.data();
        info.activationBits = activationBits;
        info.maxRows = 8;
        VulcatLinear linear = nullptr;
        REQUIRE(vulcatCreateLinear(adopted.context, &info, &linear) == VULCAT_SUCCESS);
        auto properties = vulcat::test::sized<VulcatLinearProperties>();
        CHECK(vulcatLinearProperties(linear, &properties) == VULCAT_SUCCESS);
        CHECK(properties.inputs == kInputs);
        CHECK(properties.outputs == kOutputs);
        CHECK(properties.maxRows == 8);
        CHECK(properties.weightsBytes > kInputs * kOutputs / 2);

        auto device = vulcat::test::sized<VulcatDeviceInfo>();
        REQUIRE(vulcatContextDevice(adopted.context, &device) == VULCAT_SUCCESS);
        const auto pipelines = device.pipelineCount;
        const auto matrix = format::quantiseWeights(weights, kOutputs, kInputs, 4, 32, format::ScaleSearch::Mse);
        const auto rows =
            format::quantiseRows(x, kRows, kInputs, format::activationFormat(static_cast<int>(activationBits), false));
        CHECK(runLayer(host, adopted.context, linear, x, kRows, kOutputs, {}) ==
              format::integerLinear(matrix, rows, bias));
        CHECK(runLayer(host, adopted.context, linear, x, kRows, kOutputs, residual) ==
              format::integerLinear(matrix, rows, bias, residual));
        CHECK(vulcatContextDevice(adopted.context, &device) == VULCAT_SUCCESS);
        CHECK(device.pipelineCount == pipelines);
        vulcatDestroyLinear(linear);
    }
    CHECK(host.locks == host.unlocks);
}

TEST_CASE("bad layers and bad runs are answered with the field's name") {
    Host host;
    const AdoptedContext adopted(host.handles());
    const std::vector<int8_t> codes(64, 7);
    std::vector<float> scales(2, 0.5f);
    auto info = vulcat::test::sized<VulcatLinearInfo>();
    info.inputs = 32;
    info.outputs = 2;
    info.weightBits = 4;
    info.codes = codes.data();
    VulcatLinear linear = nullptr;
    const auto says = [&](VulcatResult result, const char* text) {
        CHECK(result == VULCAT_ERROR_INVALID_ARGUMENT);
        const std::string message = vulcatContextErrorText(adopted.context);
        CHECK_MESSAGE(message.find(text) != std::string::npos, message);
    };
    says(vulcatCreateLinear(adopted.context, &info, &linear), "scales");
    scales[1] = -1;
    info.scales = scales.data();
    says(vulcatCreateLinear(adopted.context, &info, &linear), "info.scales");
    scales[1] = 0.25f;
    info.maxRows = 513;
    says(vulcatCreateLinear(adopted.context, &info, &linear), "rows");
    info.maxRows = 2;
    REQUIRE(vulcatCreateLinear(adopted.context, &info, &linear) == VULCAT_SUCCESS);
    auto run = vulcat::test::sized<VulcatLinearRun>();
    says(vulcatCmdLinear(linear, &run), "commandBuffer");
    run.commandBuffer = &run;
    run.rows = 3;
    says(vulcatCmdLinear(linear, &run), "run.rows");
    run.rows = 1;
    says(vulcatCmdLinear(linear, &run), "run.input");
    run.input = 1;
    run.inputOffset = 1;
    says(vulcatCmdLinear(linear, &run), "run.inputOffset");
    vulcatDestroyLinear(linear);
    vulcatDestroyLinear(nullptr);

    auto query = vulcat::test::sized<VulcatDeviceQuery>();
    auto support = vulcat::test::sized<VulcatDeviceSupport>();
    CHECK(vulcatQueryDevice(&query, &support) == VULCAT_ERROR_INVALID_ARGUMENT);
    CHECK(std::string(support.reason).find("getInstanceProcAddr") != std::string::npos);
    auto handles = host.handles();
    handles.unlockQueue = nullptr;
    auto contextInfo = vulcat::test::sized<VulcatContextInfo>();
    contextInfo.host = &handles;
    VulcatContext none = nullptr;
    CHECK(vulcatCreateContext(&contextInfo, &none) == VULCAT_ERROR_INVALID_ARGUMENT);
}

namespace {

struct CountedMemory {
    Host* host;
    std::set<uint64_t> live;
    size_t most = 0;
};

}  // namespace

TEST_CASE("device and host memory come from the host's functions and go back to them; a folder's site is a layer") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    Host host;
    CountedMemory counted{&host, {}, 0};
    auto memory = vulcat::test::sized<VulcatMemoryFunctions>();
    memory.userData = &counted;
    memory.allocate = [](void* self, const void* info, uint64_t* out) -> int32_t {
        auto& state = *static_cast<CountedMemory*>(self);
        VkDeviceMemory made = VK_NULL_HANDLE;
        const VkResult result = state.host->vk.vkAllocateMemory(
            state.host->device, static_cast<const VkMemoryAllocateInfo*>(info), nullptr, &made);
        *out = (uint64_t)made;
        if (result == VK_SUCCESS) state.live.insert(*out);
        state.most = std::max(state.most, state.live.size());
        return result;
    };
    memory.free = [](void* self, uint64_t given) {
        auto& state = *static_cast<CountedMemory*>(self);
        CHECK(state.live.erase(given) == 1);
        state.host->vk.vkFreeMemory(state.host->device, (VkDeviceMemory)given, nullptr);
    };
    const std::string path = folder.string();
    {
        const AdoptedContext adopted(host.handles(), &memory);
        auto info = vulcat::test::sized<VulcatLinearInfo>();
        info.folder = path.c_str();
        info.site = "model.layers.0.mlp.down";
        VulcatLinear linear = nullptr;
        REQUIRE(vulcatCreateLinear(adopted.context, &info, &linear) == VULCAT_SUCCESS);
        CHECK(counted.live.size() >= 2);
        VulcatLinear missing = nullptr;
        for (const char* site : {"model.layers.99.mlp.down", "lm_head"}) {  // the head is the embedding there
            info.site = site;
            CHECK(vulcatCreateLinear(adopted.context, &info, &missing) == VULCAT_ERROR_INVALID_ARGUMENT);
        }
        size_t bytes = 0;
        CHECK(vulcatContextBlob(adopted.context, VULCAT_BLOB_PIPELINE_CACHE, nullptr, &bytes) == VULCAT_SUCCESS);
        std::vector<char> blob(bytes);
        CHECK(vulcatContextBlob(adopted.context, VULCAT_BLOB_PIPELINE_CACHE, blob.data(), &bytes) == VULCAT_SUCCESS);
        vulcatDestroyLinear(linear);

        auto model = vulcat::test::sized<VulcatModelInfo>();
        model.folder = path.c_str();
        VulcatModel loaded = nullptr;
        REQUIRE(vulcatLoadModel(adopted.context, &model, &loaded) == VULCAT_SUCCESS);
        VulcatSession session = nullptr;
        REQUIRE(vulcatCreateSession(loaded, nullptr, &session) == VULCAT_SUCCESS);
        auto generate = vulcat::test::sized<VulcatGenerateInfo>();
        generate.maxTokens = 3;
        CHECK(vulcatGenerate(session, &generate, nullptr) == VULCAT_SUCCESS);
        CHECK(host.locks > 0);
        CHECK(host.locks == host.unlocks);
        vulcatDestroySession(session);
        vulcatDestroyModel(loaded);
    }
    CHECK(counted.live.empty());
    CHECK(counted.most > 0);
}
