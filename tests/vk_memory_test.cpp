// Buffers, views, arenas, uploads and downloads, directly and through staging, with lowered limits.

#include "support/error_code.h"
#include "support/gpu_fixture.h"

#include <doctest/doctest.h>

#include <functional>

using namespace vulcat;
using test::codeOf;
using test::GpuFixture;

namespace {

std::vector<std::byte> pattern(size_t size, unsigned seed) {
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 31 + seed) & 0xff);
    return bytes;
}

std::vector<std::byte> downloaded(vk::Device& device, const vk::BufferView& view) {
    std::vector<std::byte> bytes(static_cast<size_t>(view.size));
    vk::download(device, view, bytes);
    return bytes;
}

}  // namespace

TEST_CASE("bytes of any size arrive and come back, mapped or staged") {
    for (const bool mapped : {true, false}) {
        CAPTURE(mapped);
        GpuFixture gpu({.mapDeviceMemory = mapped});
        vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 64 << 10);
        vk::Uploader uploader(gpu.device(), 1000);  // far smaller than what passes through
        std::vector<vk::BufferView> views;
        const std::vector<size_t> sizes = {1, 2, 3, 5, 16, 17, 255, 499, 500, 501, 1000, 1001, 4097, 70001};
        for (size_t i = 0; i < sizes.size(); ++i) {
            views.push_back(arena.allocate(sizes[i]));
            CHECK((views.back().mapped != nullptr) == (mapped && gpu.device().info().unifiedMemory()));
            uploader.write(views.back(), pattern(sizes[i], static_cast<unsigned>(i)));
        }
        uploader.finish();
        for (size_t i = 0; i < sizes.size(); ++i) {
            CHECK(downloaded(gpu.device(), views[i]) == pattern(sizes[i], static_cast<unsigned>(i)));
        }
    }
}

TEST_CASE("views know where shaders find them, exactly where ADDRESS is enabled") {
    for (const bool allowed : {true, false}) {
        vk::DeviceOptions options;
        if (!allowed) options.allowed = vk::CapabilitySet::all() - vk::CapabilitySet{vk::Capability::Address};
        GpuFixture gpu(options);
        vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 64 << 10);
        const vk::BufferView first = arena.allocate(100), second = arena.allocate(100);
        CHECK((first.address != 0) == gpu.device().enabled().contains(vk::Capability::Address));
        CHECK(second.address - first.address == (first.address != 0 ? second.offset - first.offset : 0));
        CHECK(first.part(16, 16).address == (first.address != 0 ? first.address + 16 : 0));
        if (!allowed) CHECK(first.address == 0);
    }
}

TEST_CASE("the same bytes uploaded twice hold the later ones") {
    GpuFixture gpu({.mapDeviceMemory = false});
    const vk::Buffer buffer(gpu.device(), 300, vk::MemoryIntent::Device);
    vk::Uploader uploader(gpu.device(), 400);
    for (unsigned round = 0; round < 5; ++round) uploader.write(buffer.view(), pattern(300, round));
    uploader.write(buffer.view(10, 20), pattern(20, 99));
    uploader.finish();
    std::vector<std::byte> expected = pattern(300, 4);
    const std::vector<std::byte> middle = pattern(20, 99);
    std::copy(middle.begin(), middle.end(), expected.begin() + 10);
    CHECK(downloaded(gpu.device(), buffer.view()) == expected);
}

TEST_CASE("views and uploads that do not fit are refused") {
    GpuFixture gpu;
    const vk::Buffer buffer(gpu.device(), 100, vk::MemoryIntent::Device);
    CHECK(buffer.view(40, 60).size == 60);
    CHECK(codeOf([&] { buffer.view(41, 60); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { buffer.view(101, 0); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { buffer.view(~VkDeviceSize{0}, 2); }) == Result::InvalidArgument);
    vk::Uploader uploader(gpu.device());
    CHECK(codeOf([&] { uploader.write(buffer.view(), pattern(101, 0)); }) == Result::InvalidArgument);
    std::vector<std::byte> bytes(101);
    CHECK(codeOf([&] { vk::download(gpu.device(), buffer.view(), bytes); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { vk::Buffer(gpu.device(), 0, vk::MemoryIntent::Device); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { vk::Arena(gpu.device(), vk::MemoryIntent::Device, 0); }) == Result::InvalidArgument);
}

TEST_CASE("intents decide who sees the memory") {
    GpuFixture gpu;
    for (const vk::MemoryIntent intent :
         {vk::MemoryIntent::Upload, vk::MemoryIntent::Readback, vk::MemoryIntent::DeviceVisible}) {
        CHECK(vk::Buffer(gpu.device(), 33, intent).mapped() != nullptr);
    }
    vk::Buffer first(gpu.device(), 33, vk::MemoryIntent::Upload);
    const std::byte* address = first.mapped();
    vk::Buffer second(std::move(first));
    CHECK(second.mapped() == address);
    second = vk::Buffer(gpu.device(), 44, vk::MemoryIntent::Upload);
    CHECK(second.size() == 44);
}

TEST_CASE("an arena packs aligned views into blocks and can start over") {
    GpuFixture gpu;
    vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 4096);
    const vk::BufferView a = arena.allocate(1), b = arena.allocate(100), large = arena.allocate(10000),
                         c = arena.allocate(4);
    CHECK(a.buffer == b.buffer);
    CHECK(large.buffer != a.buffer);
    CHECK(arena.reservedBytes() >= 4096 + 10000);
    for (const vk::BufferView& view : {a, b, large, c})
        CHECK(view.offset % gpu.device().limits().storageAlignment == 0);
    CHECK(b.offset >= a.offset + a.size);
    const uint64_t reserved = arena.reservedBytes();
    arena.reset();
    CHECK(arena.usedBytes() == 0);
    CHECK(arena.allocate(1).buffer == a.buffer);
    CHECK(arena.reservedBytes() == reserved);
    CHECK(codeOf([&] { arena.allocate(0); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { arena.allocate(~uint64_t{0}); }) == Result::OutOfMemory);
}

TEST_CASE("lowered limits are kept: allocation size, budget, alignment") {
    vk::DeviceOptions options;
    options.limits.maxAllocation = 64 << 10;
    options.limits.heapBytes = 6u << 20;  // the fixture's own arena takes 64 KiB of it
    options.limits.storageAlignment = 1024;
    GpuFixture gpu(options);
    CHECK(gpu.device().limits().maxAllocation == 64 << 10);
    CHECK(codeOf([&] { vk::Buffer(gpu.device(), (64 << 10) + 1, vk::MemoryIntent::Device); }) == Result::OutOfMemory);
    vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 1u << 20);
    CHECK(arena.allocate(3).offset % 1024 == 0);
    CHECK(arena.allocate(3).offset % 1024 == 0);
    CHECK(arena.reservedBytes() == 64 << 10);
    const uint64_t before = gpu.device().deviceBytes();
    {
        std::vector<vk::Buffer> buffers;
        CHECK(codeOf([&] {
                  for (int i = 0; i < 1000; ++i) buffers.emplace_back(gpu.device(), 64 << 10, vk::MemoryIntent::Device);
              }) == Result::OutOfMemory);
        CHECK(buffers.size() > 50);
        CHECK(buffers.size() < 100);
        CHECK(gpu.device().deviceBytes() <= 6u << 20);
        // Host memory is not what the budget is about.
        CHECK(codeOf([&] { vk::Buffer(gpu.device(), 64 << 10, vk::MemoryIntent::Readback); }) == Result::Ok);
    }
    CHECK(gpu.device().deviceBytes() == before);
}

TEST_CASE("texel views are checked") {
    GpuFixture gpu;
    const vk::Buffer buffer(gpu.device(), 4096, vk::MemoryIntent::Device);
    if (!gpu.device().enabled().contains(vk::Capability::Texel)) {
        CHECK(codeOf([&] { vk::TexelView(gpu.device(), buffer.view()); }) == Result::Unsupported);
        return;
    }
    vk::TexelView first(gpu.device(), buffer.view());
    vk::TexelView second(std::move(first));
    CHECK(second.handle() != VK_NULL_HANDLE);
    CHECK(codeOf([&] { vk::TexelView(gpu.device(), buffer.view(0, 24)); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { vk::TexelView(gpu.device(), buffer.view(8, 16)); }) == Result::InvalidArgument);
    vk::DeviceOptions options;
    options.limits.maxTexelElements = 10;
    GpuFixture small(options);
    const vk::Buffer other(small.device(), 4096, vk::MemoryIntent::Device);
    CHECK(codeOf([&] { vk::TexelView(small.device(), other.view(0, 160)); }) == Result::Ok);
    CHECK(codeOf([&] { vk::TexelView(small.device(), other.view(0, 176)); }) == Result::InvalidArgument);
}
