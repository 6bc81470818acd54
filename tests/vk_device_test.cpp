// Listing and opening devices, devices of a host application, and devices that die.

#include "support/gpu_fixture.h"
#include "support/shared_data.h"
#include "vk_test_shaders.h"
#include "vk/device_choice.h"

#include <doctest/doctest.h>

#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

using namespace vulcat;
using test::GpuFixture;
using vk::Capability;

namespace {

PFN_vkGetInstanceProcAddr realInstanceProc = nullptr;
PFN_vkGetDeviceProcAddr realDeviceProc = nullptr;
VkResult submitResult = VK_SUCCESS;
bool hang = false;

VKAPI_ATTR VkResult VKAPI_CALL brokenSubmit(VkQueue, uint32_t, const VkSubmitInfo*, VkFence) {
    return submitResult;
}
VKAPI_ATTR VkResult VKAPI_CALL hungWait(VkDevice, uint32_t, const VkFence*, VkBool32, uint64_t) {
    return VK_TIMEOUT;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL faultyDeviceProc(VkDevice device, const char* name) {
    if (submitResult != VK_SUCCESS && std::strcmp(name, "vkQueueSubmit") == 0) {
        return reinterpret_cast<PFN_vkVoidFunction>(brokenSubmit);
    }
    if (hang && std::strcmp(name, "vkWaitForFences") == 0) return reinterpret_cast<PFN_vkVoidFunction>(hungWait);
    return realDeviceProc(device, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL faultyInstanceProc(VkInstance instance, const char* name) {
    const PFN_vkVoidFunction function = realInstanceProc(instance, name);
    if (std::strcmp(name, "vkGetDeviceProcAddr") != 0) return function;
    realDeviceProc = reinterpret_cast<PFN_vkGetDeviceProcAddr>(function);
    return reinterpret_cast<PFN_vkVoidFunction>(faultyDeviceProc);
}

/// Sends the device's functions through the wrappers above for one test.
class Faults {
  public:
    explicit Faults(VkResult submit, bool hangs = false) {
        realInstanceProc = loader_.getInstanceProcAddr();
        submitResult = submit;
        hang = hangs;
    }
    ~Faults() {
        submitResult = VK_SUCCESS;
        hang = false;
    }
    vk::InstanceOptions options() const { return {.getInstanceProcAddr = faultyInstanceProc, .messages = {}}; }

  private:
    vk::Loader loader_;
};

PFN_vkGetPhysicalDeviceProperties2 realProperties = nullptr;

/// The device as one whose subgroups may also be half as long.
VKAPI_ATTR void VKAPI_CALL severalSizes(VkPhysicalDevice device, VkPhysicalDeviceProperties2* properties) {
    realProperties(device, properties);
    for (auto* next = static_cast<VkBaseOutStructure*>(properties->pNext); next != nullptr; next = next->pNext) {
        if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) continue;
        reinterpret_cast<VkPhysicalDeviceSubgroupSizeControlProperties*>(next)->minSubgroupSize /= 2;
    }
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL severalSizesInstanceProc(VkInstance instance, const char* name) {
    const PFN_vkVoidFunction function = realInstanceProc(instance, name);
    if (std::strcmp(name, "vkGetPhysicalDeviceProperties2") != 0) return function;
    realProperties = reinterpret_cast<PFN_vkGetPhysicalDeviceProperties2>(function);
    return reinterpret_cast<PFN_vkVoidFunction>(severalSizes);
}

/// The fixture's device as a host hands its own over, without a queue.
vk::AdoptedDevice hostOf(GpuFixture& gpu) {
    return {.getInstanceProcAddr = gpu.instance().getInstanceProcAddr(),
            .instance = gpu.instance().handle(),
            .physicalDevice = gpu.device().info().handle,
            .device = gpu.device().handle(),
            .queue = VK_NULL_HANDLE,
            .queueFamily = gpu.device().queueFamily(),
            .instanceVersion = gpu.instance().version(),
            .enabled = {},
            .subgroupSizeControlEnabled = gpu.device().subgroupSizeControl(),
            .lockQueue = {},
            .unlockQueue = {}};
}

void submitFill(vk::Device& device, vk::Recorder& recorder, const vk::BufferView& view) {
    recorder.begin();
    recorder.fill(view, 7);
    recorder.end();
    device.submitAndWait(recorder);
}

}  // namespace

TEST_CASE("devices are listed with what matters") {
    GpuFixture gpu;
    REQUIRE_FALSE(gpu.instance().physicalDevices().empty());
    for (const vk::DeviceInfo& info : gpu.instance().physicalDevices()) {
        INFO(info.name);
        CHECK_FALSE(info.name.empty());
        CHECK(info.uuidText().size() == 36);
        CHECK(info.usable());
        CHECK(info.apiVersion >= VK_API_VERSION_1_1);
        CHECK_FALSE(info.heaps.empty());
        for (const vk::MemoryHeap& heap : info.heaps) CHECK(heap.budgetBytes <= heap.sizeBytes);
        CHECK(info.limits.heapBytes > 0);
        CHECK(info.limits.maxStorageRange >= 1u << 27);
        CHECK(info.limits.maxAllocation >= 1u << 30);
        CHECK(info.limits.maxWorkgroupCount[2] >= 65535);
        CHECK(info.limits.maxWorkgroupInvocations >= 128);
        CHECK(info.limits.maxSharedBytes >= 16384);
        CHECK(info.limits.maxStorageBuffers >= 4);
        CHECK(info.limits.maxPushBytes >= 128);
        CHECK(info.limits.storageAlignment >= 16);
        CHECK(info.available.contains(info.capabilities));
        if (info.available.contains(Capability::Texel)) CHECK(info.limits.maxTexelElements >= 1u << 24);
        if (info.available.contains(Capability::Subgroup)) CHECK(info.limits.subgroupSize >= 4);
        if (info.available.contains(Capability::Coopmat)) CHECK_FALSE(info.coopmatShapes.empty());
    }
}

TEST_CASE("the listed device is found again by UUID and by name") {
    GpuFixture gpu;
    const auto& devices = gpu.instance().physicalDevices();
    CHECK(vk::chooseDevice(devices, devices[0].uuidText()).position == 0);
    if (devices.size() == 1) CHECK(vk::chooseDevice(devices, devices[0].name).position == 0);
    CHECK(devices[vk::chooseDevice(devices, "auto").position].usable());
}

TEST_CASE("features outside of what is allowed are off") {
    GpuFixture gpu({.allowed = {}});
    CHECK(gpu.device().enabled().empty());
    CHECK(gpu.device().capabilities().empty());
    vk::PipelineLibrary pipelines(gpu.device(), {}, shaders::vkTestModules());
    CHECK_THROWS_WITH(
        pipelines.get({.module = "dot",
                       .constants = {32},
                       .bindings = {vk::BindingKind::Storage, vk::BindingKind::Storage, vk::BindingKind::Storage}}),
        doctest::Contains("needs DOT"));
}

TEST_CASE("a host's device works and stays the host's") {
    GpuFixture gpu;
    int locks = 0;
    vk::AdoptedDevice host = hostOf(gpu);
    host.lockQueue = [&] { ++locks; };
    host.unlockQueue = [&] { locks += 10; };
    gpu.device().dispatch().vkGetDeviceQueue(host.device, host.queueFamily, 0, &host.queue);
    vk::Device device(host);
    CHECK((device.enabled() - vk::CapabilitySet{Capability::Subgroup, Capability::Texel, Capability::Scalars}).empty());
    const vk::Buffer buffer(device, 64, vk::MemoryIntent::Readback);
    vk::Recorder recorder(device);
    submitFill(device, recorder, buffer.view());
    uint32_t word = 0;
    std::memcpy(&word, buffer.mapped(), sizeof word);
    CHECK(word == 7);
    CHECK(locks == 11);

    host.queue = VK_NULL_HANDLE;
    vk::Device recordOnly(host);
    vk::Recorder other(recordOnly);
    CHECK_THROWS_WITH(submitFill(recordOnly, other, buffer.view()), doctest::Contains("gave no queue"));
    host.instance = VK_NULL_HANDLE;
    CHECK_THROWS_WITH(vk::Device{host}, doctest::Contains("AdoptedDevice needs"));
}

TEST_CASE("a host's device with several sizes of subgroups has kernels of subgroups only where their size can be asked for") {
    GpuFixture gpu;
    if (!gpu.device().info().subgroupSizeControl) {
        test::reportSkip(gpu.device().info().name + " has no control of subgroup sizes");
        return;
    }
    vk::Loader loader;
    realInstanceProc = loader.getInstanceProcAddr();
    const vk::CapabilitySet ofSubgroups{Capability::Subgroup, Capability::Scalars, Capability::Coopmat};
    vk::AdoptedDevice host = hostOf(gpu);
    host.enabled = ofSubgroups;
    host.subgroupSizeControlEnabled = false;
    if (gpu.device().info().limits.minSubgroupSize == gpu.device().info().limits.maxSubgroupSize)
        CHECK(vk::Device(host).enabled().contains(Capability::Subgroup));
    host.getInstanceProcAddr = severalSizesInstanceProc;
    const vk::Device without(host);
    CHECK((without.enabled() & ofSubgroups).empty());
    CHECK((without.capabilities() & ofSubgroups).empty());
    CHECK_FALSE(without.subgroupSizeControl());
    host.subgroupSizeControlEnabled = true;
    CHECK(vk::Device(host).enabled().contains(Capability::Subgroup));
}

TEST_CASE("a lost device is an error with its own code, and everything can be torn down") {
    const Faults faults(VK_ERROR_DEVICE_LOST);
    GpuFixture gpu({}, faults.options());
    const vk::Buffer buffer(gpu.device(), 64, vk::MemoryIntent::Device);
    vk::Recorder recorder(gpu.device());
    try {
        submitFill(gpu.device(), recorder, buffer.view());
        FAIL("the submission should have failed");
    } catch (const Error& error) {
        CHECK(error.code() == Result::DeviceLost);
    }
    CHECK_FALSE(gpu.device().abandoned());
}

TEST_CASE("a submission that never ends is given up after the wait limit") {
#ifdef __SANITIZE_ADDRESS__
    const __lsan::ScopedDisabler leavesObjectsToTheDriver;
#endif
    const Faults faults(VK_SUCCESS, true);
    vk::Instance instance(faults.options());
    const std::string selection =
        std::getenv("VULCAT_TEST_DEVICE") != nullptr ? std::getenv("VULCAT_TEST_DEVICE") : "0";
    const auto& devices = instance.physicalDevices();
    vk::DeviceOptions options;
    options.waitLimit = std::chrono::milliseconds(5);
    VkDevice handle = VK_NULL_HANDLE;
    vk::DeviceDispatch functions;
    {
        vk::Device device(instance, devices[vk::chooseDevice(devices, selection).position], options);
        const vk::Buffer buffer(device, 64, vk::MemoryIntent::Device);
        vk::Recorder recorder(device);
        try {
            submitFill(device, recorder, buffer.view());
            FAIL("the wait should have ended");
        } catch (const Error& error) {
            CHECK(error.code() == Result::DeviceLost);
        }
        CHECK(device.abandoned());
        handle = device.handle();
        functions = device.dispatch();
    }
    // The work was real and ends: the test waits for what the library had to leave to the hung driver. The driver stays, as
    // the threads of a device that nobody destroyed would run in code that is gone.
    functions.vkDeviceWaitIdle(handle);
    instance.abandon();
}
