// The parts of the vk floor that need no driver. Links vulcat_vk alone.

#include "vk/capabilities.h"
#include "vk/check.h"
#include "vk/device_choice.h"
#include "vk/hazards.h"
#include "vk/instance.h"
#include "vk/memory_types.h"
#include "vk/pipeline_cache.h"
#include "vk/quirks.h"
#include "vk/spirv.h"

#include "support/error_code.h"

#include <doctest/doctest.h>

#include <dlfcn.h>

#include <tuple>

using namespace vulcat;
using test::codeOf;
using vk::Capability;
using vk::CapabilitySet;

namespace {

vk::DeviceInfo device(uint32_t index, const char* name, vk::DeviceType type, uint64_t heapBytes) {
    vk::DeviceInfo info;
    info.index = index;
    info.name = name;
    info.type = type;
    info.limits.heapBytes = heapBytes;
    info.uuid.fill(static_cast<uint8_t>(0xa0 + index));
    info.queueFamily = 0;
    return info;
}

std::vector<vk::DeviceInfo> machine() {
    std::vector<vk::DeviceInfo> devices = {device(0, "Software Renderer", vk::DeviceType::Cpu, 1u << 30),
                                           device(1, "Small Integrated", vk::DeviceType::Integrated, 2u << 20),
                                           device(2, "Card Eight", vk::DeviceType::Discrete, 8u << 20),
                                           device(3, "Card Sixteen", vk::DeviceType::Discrete, 16u << 20)};
    return devices;
}

}  // namespace

TEST_CASE("auto passes over a driver that translates, where there is a native one") {
    std::vector<vk::DeviceInfo> devices = {device(0, "Translated", vk::DeviceType::Integrated, 8u << 20),
                                           device(1, "Native", vk::DeviceType::Integrated, 4u << 20)};
    devices[0].driverId = VK_DRIVER_ID_MESA_DOZEN;
    const vk::DeviceChoice choice = vk::chooseDevice(devices, "auto");
    CHECK(choice.position == 1);
    CHECK(choice.reasons[0] == "not chosen: its driver translates to Direct3D 12");
    devices[1].type = vk::DeviceType::Cpu;
    CHECK(vk::chooseDevice(devices, "auto").position == 0);
}

TEST_CASE("memory types: a card, an integrated GPU whose own part is small, a phone") {
    constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, kHost = vk::kHostMemory,
                                    kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                                    kUncached = VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
    using enum vk::MemoryIntent;
    using Types = std::vector<uint32_t>;
    const auto with = [](vk::DeviceType type, std::initializer_list<VkMemoryPropertyFlags> types) {
        vk::DeviceInfo info;
        info.type = type;
        for (const VkMemoryPropertyFlags flags : types) info.memory.memoryTypes[info.memory.memoryTypeCount++].propertyFlags = flags;
        return info;
    };
    const auto typesOf = [](const vk::DeviceInfo& info, vk::MemoryIntent intent) {
        return vk::memoryTypesFor(info, ~0u, intent, info.unifiedMemory());
    };
    const vk::DeviceInfo card = with(vk::DeviceType::Discrete, {0, kLocal, kHost, kHost | kCached, kLocal | kHost, kLocal | kUncached});
    CHECK(typesOf(card, Device) == Types{1, 4});
    CHECK(typesOf(card, Upload) == Types{2, 3, 4});
    CHECK(typesOf(card, Readback) == Types{3, 2, 4});
    CHECK(typesOf(card, DeviceVisible) == Types{4, 2, 3});
    CHECK(vk::memoryTypesFor(card, 1u << 4, Device, false) == Types{4});
    // What the firmware has set aside for it comes first; the machine's memory is as good.
    const vk::DeviceInfo integrated = with(vk::DeviceType::Integrated, {kLocal, kHost, kLocal | kHost, kHost | kCached, kHost | kUncached});
    CHECK(typesOf(integrated, Device) == Types{2, 0, 1, 3});
    CHECK(vk::memoryTypesFor(integrated, ~0u, Device, false) == Types{0, 2, 1, 3});
    CHECK(typesOf(integrated, Readback) == Types{3, 1, 2});
    const vk::DeviceInfo phone = with(vk::DeviceType::Integrated, {kLocal | kHost | kCached, kLocal | kHost, kLocal | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT});
    CHECK(typesOf(phone, Device) == Types{0, 1});
    CHECK(typesOf(phone, Upload) == Types{1, 0});

    vk::DeviceInfo heaps = integrated;
    heaps.heaps = {{512, 400, true, true}, {8000, 6000, false, true}};
    CHECK(heaps.offeredBytes() == 6400);
    heaps.type = vk::DeviceType::Discrete;
    CHECK(heaps.offeredBytes() == 400);
}

TEST_CASE("nothing pulls in libvulkan before an instance is made") {
    CHECK(dlopen("libvulkan.so.1", RTLD_NOW | RTLD_NOLOAD) == nullptr);
}

TEST_CASE("a loader older than Vulkan 1.1 is no device") {
    const PFN_vkGetInstanceProcAddr none = [](VkInstance, const char*) -> PFN_vkVoidFunction { return nullptr; };
    CHECK(codeOf([&] { vk::Instance instance({.getInstanceProcAddr = none, .messages = {}}); }) == Result::NoDevice);
}

TEST_CASE("capability sets") {
    const CapabilitySet set{Capability::Dot, Capability::Subgroup};
    CHECK(CapabilitySet{}.toString() == "BASE");
    CHECK(set.toString() == "DOT SUBGROUP");
    CHECK(CapabilitySet::all().toString() == "STORE16 F16 STORE8 I8 DOT SUBGROUP TEXEL COOPMAT QUADS ADDRESS SCALARS");
    CHECK(set.contains(Capability::Dot));
    CHECK(set.contains(CapabilitySet{}));
    CHECK_FALSE(set.contains(CapabilitySet{Capability::Dot, Capability::Texel}));
    CHECK((set - CapabilitySet{Capability::Dot}) == CapabilitySet{Capability::Subgroup});
    CHECK((set & CapabilitySet{Capability::Texel}).empty());
    CHECK(CapabilitySet::fromBits(~0u) == CapabilitySet::all());
}

TEST_CASE("limits can only be lowered") {
    vk::Limits real = vk::Limits::unlimited();
    real.maxStorageRange = 1000;
    real.storageAlignment = 64;
    real.subgroupSize = 8;
    vk::Limits wish = vk::Limits::unlimited();
    CHECK(real.loweredTo(wish).maxStorageRange == 1000);
    CHECK(real.loweredTo(wish).storageAlignment == 64);
    wish.maxStorageRange = 10;
    wish.storageAlignment = 256;
    wish.maxWorkgroupCount[1] = 7;
    const vk::Limits lowered = real.loweredTo(wish);
    CHECK(lowered.maxStorageRange == 10);
    CHECK(lowered.storageAlignment == 256);
    CHECK(lowered.maxWorkgroupCount[1] == 7);
    CHECK(lowered.subgroupSize == 8);
}

TEST_CASE("each VkResult becomes the right error") {
    CHECK(vk::check(VK_SUCCESS, "x") == VK_SUCCESS);
    CHECK(vk::check(VK_TIMEOUT, "x") == VK_TIMEOUT);
    CHECK(codeOf([] { vk::check(VK_ERROR_DEVICE_LOST, "submitting"); }) == Result::DeviceLost);
    CHECK(codeOf([] { vk::check(VK_ERROR_OUT_OF_DEVICE_MEMORY, "allocating"); }) == Result::OutOfMemory);
    CHECK(codeOf([] { vk::check(VK_ERROR_OUT_OF_HOST_MEMORY, "allocating"); }) == Result::OutOfMemory);
    CHECK(codeOf([] { vk::check(VK_ERROR_INCOMPATIBLE_DRIVER, "opening"); }) == Result::NoDevice);
    CHECK(codeOf([] { vk::check(VK_ERROR_EXTENSION_NOT_PRESENT, "opening"); }) == Result::Unsupported);
    CHECK(codeOf([] { vk::check(VK_ERROR_UNKNOWN, "something"); }) == Result::Failure);
    CHECK_THROWS_WITH(vk::check(VK_ERROR_DEVICE_LOST, "waiting"), "waiting failed: VK_ERROR_DEVICE_LOST");
    CHECK(vk::resultName(static_cast<VkResult>(-77)) == "VkResult(-77)");
}

TEST_CASE("auto takes the best usable device") {
    std::vector<vk::DeviceInfo> devices = machine();
    const vk::DeviceChoice choice = vk::chooseDevice(devices, "auto");
    CHECK(choice.position == 3);
    REQUIRE(choice.reasons.size() == 4);
    CHECK(choice.reasons[0] == "not chosen: discrete GPU comes before CPU");
    CHECK(choice.reasons[2] == "not chosen: less memory");
    CHECK(choice.reasons[3] == "chosen: the best usable device (discrete GPU)");
    devices[2].unusableBecause = devices[3].unusableBecause = "its driver is older than Vulkan 1.1";
    CHECK(vk::chooseDevice(devices, "").position == 1);
    CHECK(vk::chooseDevice(devices, "auto").reasons[3] == "not chosen: its driver is older than Vulkan 1.1");
    CHECK(codeOf([] { vk::chooseDevice({}, "auto"); }) == Result::NoDevice);
    for (vk::DeviceInfo& item : devices) item.unusableBecause = "broken";
    CHECK(codeOf([&] { vk::chooseDevice(devices, "auto"); }) == Result::NoDevice);
}

TEST_CASE("a device by index, UUID or name") {
    std::vector<vk::DeviceInfo> devices = machine();
    CHECK(vk::chooseDevice(devices, "1").position == 1);
    CHECK(vk::chooseDevice(devices, "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0a0").position == 0);
    CHECK(vk::chooseDevice(devices, "A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2").position == 2);
    CHECK(vk::chooseDevice(devices, "sixTEEN").position == 3);
    CHECK(vk::chooseDevice(devices, "soft").reasons[0] == "chosen: selected by \"soft\"");
    CHECK(codeOf([&] { vk::chooseDevice(devices, "4"); }) == Result::NoDevice);
    CHECK(codeOf([&] { vk::chooseDevice(devices, "99999999999"); }) == Result::NoDevice);
    CHECK(codeOf([&] { vk::chooseDevice(devices, "voodoo"); }) == Result::NoDevice);
    CHECK(codeOf([&] { vk::chooseDevice(devices, "00000000000000000000000000000000"); }) == Result::NoDevice);
    CHECK(codeOf([&] { vk::chooseDevice(devices, "card"); }) == Result::InvalidArgument);
    devices[1].unusableBecause = "it has no queue for compute work";
    CHECK_THROWS_WITH(vk::chooseDevice(devices, "1"), doctest::Contains("it has no queue for compute work"));
}

TEST_CASE("one card through two drivers is one device") {
    std::vector<vk::DeviceInfo> devices = machine();
    devices[2].uuid = devices[3].uuid;
    CHECK(vk::chooseDevice(devices, "card").position == 2);
    devices[2].unusableBecause = "broken";
    CHECK(vk::chooseDevice(devices, "card").position == 3);
    devices[2].unusableBecause.clear();
    CHECK(vk::chooseDevice(devices, "auto").reasons[2] == "not chosen: the same device as 3 through another driver");
}

TEST_CASE("quirks take capabilities away and say why") {
    vk::DeviceInfo info = device(0, "AMD on Metal", vk::DeviceType::Discrete, 1);
    info.vendorId = 0x1002;
    info.driverId = VK_DRIVER_ID_MOLTENVK;
    info.available = info.capabilities = {Capability::Subgroup, Capability::Dot};
    vk::applyQuirks(info);
    CHECK(info.available == CapabilitySet{Capability::Dot});
    CHECK(info.capabilities == CapabilitySet{Capability::Dot});
    REQUIRE(info.quirks.size() == 2);
    CHECK(info.quirks[0].find("no sites by several workgroups: ") == 0);
    CHECK(info.quirks[1].find("without SUBGROUP: ") == 0);
    CHECK_FALSE(info.workgroupsShare);
    CHECK(device(0, "another", vk::DeviceType::Discrete, 1).workgroupsShare);

    vk::DeviceInfo software = device(0, "llvmpipe", vk::DeviceType::Cpu, 1);
    software.driverId = VK_DRIVER_ID_MESA_LLVMPIPE;
    software.available = software.capabilities = {Capability::Coopmat, Capability::Texel};
    vk::applyQuirks(software);
    CHECK(software.available.contains(Capability::Coopmat));
    CHECK_FALSE(software.capabilities.contains(Capability::Coopmat));

    vk::DeviceInfo plain = machine()[2];
    const CapabilitySet usual = CapabilitySet::all() - CapabilitySet{Capability::Quads, Capability::Address, Capability::Scalars};
    plain.available = plain.capabilities = usual;
    vk::applyQuirks(plain);
    CHECK(plain.capabilities == usual);
    CHECK(plain.quirks.empty());
    plain.available = plain.capabilities = CapabilitySet::all();
    vk::applyQuirks(plain);
    CHECK(plain.capabilities == usual);
    CHECK(plain.available == CapabilitySet::all() - CapabilitySet{Capability::Address});
    plain.driverId = VK_DRIVER_ID_GOOGLE_SWIFTSHADER;
    plain.available = plain.capabilities = CapabilitySet::all();
    vk::applyQuirks(plain);
    CHECK(plain.capabilities == CapabilitySet::all() - CapabilitySet{Capability::Address, Capability::Scalars});
    plain.vendorId = 0x1002;
    plain.available = plain.capabilities = CapabilitySet::all();
    vk::applyQuirks(plain);
    CHECK(plain.capabilities.contains(Capability::Scalars));

    for (const auto& [name, major, keeps] : {std::tuple("RX (RADV GFX1100)", 22, false), {"RX (RADV GFX1100)", 25, true}, {"RX (RADV NAVI21)", 22, true}}) {
        vk::DeviceInfo radv = device(0, name, vk::DeviceType::Discrete, 1);
        radv.vendorId = 0x1002;
        radv.driverId = VK_DRIVER_ID_MESA_RADV;
        radv.driverVersion = VK_MAKE_API_VERSION(0, major, 3, 0);
        radv.available = radv.capabilities = {Capability::Subgroup};
        vk::applyQuirks(radv);
        CHECK(radv.capabilities.contains(Capability::Subgroup) == keeps);
        CHECK(radv.available.contains(Capability::Subgroup));
    }

    for (const auto& [version, keeps] : {std::pair(VK_MAKE_API_VERSION(0, 22, 3, 6), false), {VK_MAKE_API_VERSION(0, 26, 2, 6), true}}) {
        vk::DeviceInfo mesa = device(0, "llvmpipe", vk::DeviceType::Cpu, 1);
        mesa.driverId = VK_DRIVER_ID_MESA_LLVMPIPE;
        mesa.driverVersion = version;
        mesa.available = mesa.capabilities = {Capability::Subgroup, Capability::Address};
        vk::applyQuirks(mesa);
        CHECK(mesa.capabilities.contains(Capability::Address) == keeps);
        CHECK(mesa.available.contains(Capability::Address) == keeps);
    }
}

TEST_CASE("a pipeline-cache blob comes back only whole and only to its own device, driver and modules") {
    vk::DeviceInfo info = machine()[2];
    info.vendorId = 1;
    info.driverVersion = 5;
    const std::vector<std::byte> payload(100, std::byte{42});
    const std::vector<std::byte> blob = vk::wrapPipelineCache(info, 7, payload);
    REQUIRE(vk::unwrapPipelineCache(info, 7, blob).size() == payload.size());
    CHECK(vk::unwrapPipelineCache(info, 8, blob).empty());
    vk::DeviceInfo newer = info;
    newer.driverVersion = 6;
    CHECK(vk::unwrapPipelineCache(newer, 7, blob).empty());
    for (size_t size = 0; size < blob.size(); ++size) {
        const std::vector<std::byte> cut(blob.begin(), blob.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(vk::unwrapPipelineCache(info, 7, cut).empty());
    }
    for (size_t i = 0; i < blob.size(); ++i) {
        std::vector<std::byte> damaged = blob;
        damaged[i] ^= std::byte{0x10};
        CHECK(vk::unwrapPipelineCache(info, 7, damaged).empty());
    }
}

TEST_CASE("hazards: what conflicts with what") {
    using vk::Access;
    const auto buffer = reinterpret_cast<VkBuffer>(uintptr_t{16});
    const auto other = reinterpret_cast<VkBuffer>(uintptr_t{32});
    vk::HazardTracker tracker;
    tracker.note({buffer, 100, 50, nullptr}, Access::Read, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
    CHECK_FALSE(tracker.conflicts({buffer, 100, 50, nullptr}, Access::Read));
    CHECK(tracker.conflicts({buffer, 149, 10, nullptr}, Access::Write));
    CHECK_FALSE(tracker.conflicts({buffer, 150, 10, nullptr}, Access::Write));
    CHECK_FALSE(tracker.conflicts({buffer, 90, 10, nullptr}, Access::Write));
    CHECK_FALSE(tracker.conflicts({other, 100, 50, nullptr}, Access::Write));
    CHECK(tracker.scope().writes == 0);
    tracker.note({other, 0, 4, nullptr}, Access::ReadWrite, VK_PIPELINE_STAGE_TRANSFER_BIT);
    CHECK(tracker.conflicts({other, 0, 4, nullptr}, Access::Read));
    CHECK(tracker.scope().writes == VK_ACCESS_TRANSFER_WRITE_BIT);
    tracker.clear();
    CHECK_FALSE(tracker.conflicts({other, 0, 4, nullptr}, Access::Write));
    CHECK(tracker.scope().stages == 0);
}

TEST_CASE("words that are no SPIR-V are refused, not believed") {
    const std::vector<uint32_t> header = {0x07230203, 0x00010300, 0, 100, 0};
    CHECK(codeOf([] { vk::readSpirv({}); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { vk::readSpirv(header); }) == Result::InvalidArgument);
    std::vector<uint32_t> lying = header;
    lying.push_back(5u << 16 | 17);  // claims five words, has one
    CHECK(codeOf([&] { vk::readSpirv(lying); }) == Result::InvalidArgument);
    std::vector<uint32_t> empty = header;
    empty.push_back(0);  // an instruction of no words would never end
    CHECK(codeOf([&] { vk::readSpirv(empty); }) == Result::InvalidArgument);
}
