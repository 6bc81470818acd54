// Pipelines: made once, checked against their modules, cached across runs.

#include "support/gpu_fixture.h"
#include "support/shared_data.h"
#include "vk_test_shaders.h"

#include <doctest/doctest.h>

#include <functional>

using namespace vulcat;
using test::GpuFixture;
using vk::BindingKind;

namespace {

Error errorOf(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    return Error(Result::Ok, "");
}

void checkRefused(vk::PipelineLibrary& library, const vk::PipelineSpec& spec, Result code, const char* part) {
    const Error error = errorOf([&] { library.get(spec); });
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find(part) != std::string::npos);
    CHECK(std::string(error.what()).find(spec.module) != std::string::npos);
}

}  // namespace

TEST_CASE("a pipeline is created once for each spec") {
    GpuFixture gpu;
    vk::PipelineLibrary library(gpu.device(), {}, shaders::vkTestModules());
    CHECK(library.createdCount() == 0);
    const vk::Pipeline* first = &library.get(test::addSpec(32));
    CHECK(&library.get(test::addSpec(32)) == first);
    CHECK(library.createdCount() == 1);
    CHECK(&library.get(test::addSpec(16)) != first);
    CHECK(library.createdCount() == 2);
    CHECK(first->localSize[0] == 32);
    CHECK(&library.get(test::addSpec(32)) == first);
}

TEST_CASE("a spec that disagrees with its module is refused by name") {
    GpuFixture gpu;
    vk::PipelineLibrary library(gpu.device(), {}, shaders::vkTestModules());
    vk::PipelineSpec spec = test::addSpec();
    spec.module = "ad";
    checkRefused(library, spec, Result::InvalidArgument, "there is no shader module");
    spec = test::addSpec();
    spec.bindings.pop_back();
    checkRefused(library, spec, Result::InvalidArgument, "has 3 bindings, the spec says 2");
    spec = test::addSpec();
    spec.bindings[1] = BindingKind::UniformTexel;
    checkRefused(library, spec, Result::InvalidArgument, "binding 1 is a storage buffer");
    spec = test::addSpec();
    spec.pushBytes = 12;
    checkRefused(library, spec, Result::InvalidArgument, "8 bytes of push constants, the spec says 12");
    spec = test::addSpec();
    spec.constants.pop_back();
    checkRefused(library, spec, Result::InvalidArgument, "specialisation constant 1");
    checkRefused(library, test::addSpec(0), Result::Unsupported, "workgroup dimension 0");
    checkRefused(library, test::addSpec(gpu.device().limits().maxWorkgroupInvocations + 1), Result::Unsupported,
                 "workgroup dimension 0");
    CHECK(library.createdCount() == 0);
}

TEST_CASE("lowered limits refuse a pipeline") {
    vk::DeviceOptions options;
    options.limits.maxWorkgroupInvocations = 16;
    options.limits.maxSharedBytes = 100;
    options.limits.maxStorageBuffers = 2;
    GpuFixture gpu(options);
    vk::PipelineLibrary library(gpu.device(), {}, shaders::vkTestModules());
    checkRefused(library, test::addSpec(32), Result::Unsupported, "workgroup");
    checkRefused(library, test::addSpec(16), Result::Unsupported, "3 storage buffers of 2");
    if (gpu.device().enabled().contains(vk::Capability::Subgroup)) {
        checkRefused(
            library,
            {.module = "subgroup_sum", .constants = {4}, .bindings = {BindingKind::Storage, BindingKind::Storage}},
            Result::Unsupported, "128 bytes of shared memory");
    }
}

TEST_CASE("a required subgroup size is what the shader sees") {
    GpuFixture gpu;
    if (!gpu.device().enabled().contains(vk::Capability::Subgroup)) {
        test::reportSkip("no SUBGROUP on this device");
        return;
    }
    const vk::Limits& limits = gpu.device().limits();
    vk::PipelineLibrary library(gpu.device(), {}, shaders::vkTestModules());
    vk::PipelineSpec spec{
        .module = "subgroup_sum", .constants = {0}, .bindings = {BindingKind::Storage, BindingKind::Storage}};
    for (uint32_t size = limits.minSubgroupSize; size <= limits.maxSubgroupSize; size *= 2) {
        CAPTURE(size);
        spec.constants = {size};
        spec.requiredSubgroupSize = size;
        const vk::Pipeline& pipeline = library.get(spec);
        const vk::BufferView values = gpu.upload(std::vector<uint32_t>(3 * size, 5));
        const vk::BufferView sums = gpu.output<uint32_t>(6);
        gpu.run([&](vk::Recorder& recorder) {
            const vk::Binding bindings[] = {vk::read(values), vk::write(sums)};
            recorder.dispatch(pipeline, bindings, {}, {3, 1, 1});
        });
        CHECK(gpu.readBack<uint32_t>(sums) == std::vector<uint32_t>{5 * size, size, 5 * size, size, 5 * size, size});
    }
    spec.constants = {2 * limits.maxSubgroupSize};
    spec.requiredSubgroupSize = 2 * limits.maxSubgroupSize;
    checkRefused(library, spec, Result::Unsupported, "subgroups of");
    spec.constants = {limits.subgroupSize + 1};
    spec.requiredSubgroupSize = limits.subgroupSize;
    checkRefused(library, spec, Result::InvalidArgument, "no full subgroups");
}

TEST_CASE("a cache blob is taken back whole; a damaged one is a miss and the pipelines still come") {
    GpuFixture gpu;
    std::vector<std::byte> blob;
    {
        vk::PipelineLibrary library(gpu.device(), {}, shaders::vkTestModules());
        library.get(test::addSpec());
        CHECK_FALSE(library.cacheHit());
        blob = library.cacheBlob();
    }
    REQUIRE(blob.size() > 64);
    const auto hits = [&](std::span<const std::byte> bytes, std::span<const shaders::Module> modules) {
        vk::PipelineLibrary library(gpu.device(), bytes, modules);
        if (!modules.empty()) library.get(test::addSpec());
        return library.cacheHit();
    };
    CHECK(hits(blob, shaders::vkTestModules()));
    CHECK_FALSE(hits(blob, shaders::vkTestModules().first(2)));  // other modules than the blob was made for
    CHECK_FALSE(hits(std::span<const std::byte>(blob).first(blob.size() - 1), shaders::vkTestModules()));
    blob.back() ^= std::byte{1};
    CHECK_FALSE(hits(blob, shaders::vkTestModules()));
    CHECK_FALSE(hits(std::vector<std::byte>(5000, std::byte{0xff}), shaders::vkTestModules()));
}
