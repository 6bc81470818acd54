// Dispatches and transfers through the whole floor: results, bounds, mistakes, times.

#include "support/gpu_fixture.h"
#include "vk_test_shaders.h"

#include <doctest/doctest.h>

#include <numeric>

using namespace vulcat;
using test::AddParameters;
using test::GpuFixture;

namespace {

std::vector<uint32_t> ramp(size_t count, uint32_t start) {
    std::vector<uint32_t> values(count);
    std::iota(values.begin(), values.end(), start);
    return values;
}

uint32_t groupsFor(size_t count, uint32_t localSize) {
    return static_cast<uint32_t>((count + localSize - 1) / localSize);
}

}  // namespace

TEST_CASE("a dispatch computes, for counts off the workgroup size") {
    GpuFixture gpu;
    vk::PipelineLibrary pipelines(gpu.device(), {}, shaders::vkTestModules());
    const vk::Pipeline& add = pipelines.get(test::addSpec(32, 3));
    for (const size_t count : {size_t{1}, size_t{3}, size_t{31}, size_t{33}, size_t{1000}}) {
        const std::vector<uint32_t> a = ramp(count, 5), b = ramp(count, 70);
        const vk::BufferView viewA = gpu.upload(a), viewB = gpu.upload(b), sum = gpu.output<uint32_t>(count);
        gpu.run([&](vk::Recorder& recorder) {
            recorder.dispatch(add, {vk::read(viewA), vk::read(viewB), vk::write(sum)},
                              AddParameters{static_cast<uint32_t>(count), 9}, {groupsFor(count, 32), 1, 1});
        });
        const std::vector<uint32_t> result = gpu.readBack<uint32_t>(sum);
        for (size_t i = 0; i < count; ++i) REQUIRE(result[i] == 3 * (a[i] + b[i]) + 9);
        gpu.clear();
    }
}
