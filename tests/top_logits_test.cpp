// The largest logits on the device against the sampler on the CPU.

#include "kernels/top_logits.h"

#include "support/gpu_fixture.h"
#include "support/rng.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

using namespace vulcat;

namespace {

struct Top {
    uint32_t index = 0;
    uint32_t bits = 0;
    bool operator==(const Top&) const = default;
};

std::vector<Top> onDevice(test::GpuFixture& gpu, const std::vector<float>& logits, uint32_t wanted) {
    const kernels::TopLogits kernel(gpu.device(), gpu.pipelines(), static_cast<uint32_t>(logits.size()));
    const auto input = gpu.upload(logits);
    const auto scratch = gpu.output(kernel.scratchBytes());
    const auto top = gpu.output(uint64_t{wanted} * sizeof(Top));
    gpu.run([&](vk::Recorder& recorder) { kernel.record(recorder, {input, scratch, top, wanted}); });
    return gpu.readBack<Top>(top);
}

// As the sampler sorts: by value, then by index.
std::vector<Top> onCpu(const std::vector<float>& logits, uint32_t wanted) {
    std::vector<uint32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
    std::vector<Top> result;
    for (uint32_t i = 0; i < wanted; ++i) result.push_back({order[i], std::bit_cast<uint32_t>(logits[order[i]])});
    return result;
}

}  // namespace

TEST_CASE("the largest logits, in order, as the CPU sorts them") {
    test::GpuFixture gpu;
    test::Rng rng(3);
    for (const uint32_t count : {1u, 2u, 63u, 64u, 65u, 1000u, 32000u, 65537u, 128256u}) {
        for (const uint32_t wanted : {1u, 2u, 40u, 128u}) {
            if (wanted > count) continue;
            std::vector<float> logits = rng.gaussians(count);
            CHECK_MESSAGE(onDevice(gpu, logits, wanted) == onCpu(logits, wanted), count, " logits, top ", wanted);
            // Many equal ones, on both sides of a chunk's end.
            for (float& value : logits) value = std::round(2 * value) / 2;
            CHECK_MESSAGE(onDevice(gpu, logits, wanted) == onCpu(logits, wanted), count, " equal logits, top ", wanted);
        }
        gpu.clear();
    }
}

TEST_CASE("the largest logits: zeros of both signs, denormals, infinities, all equal") {
    test::GpuFixture gpu;
    const float infinity = std::numeric_limits<float>::infinity();
    const float least = std::numeric_limits<float>::denorm_min();
    const std::vector<float> awkward{-0.0f, 0.0f, -least, least, -infinity, infinity, -1, 2 * least, infinity, -0.0f};
    CHECK(onDevice(gpu, awkward, 10) == onCpu(awkward, 10));
    const std::vector<float> same(777, -3.5f);
    CHECK(onDevice(gpu, same, 128) == onCpu(same, 128));
    const std::vector<float> lowest(100, -infinity);
    CHECK(onDevice(gpu, lowest, 100) == onCpu(lowest, 100));
}

TEST_CASE("the largest logits: a NaN comes first, the first of several") {
    test::GpuFixture gpu;
    std::vector<float> logits(500, 1.0f);
    logits[77] = -std::numeric_limits<float>::quiet_NaN();
    logits[400] = std::numeric_limits<float>::quiet_NaN();
    logits[3] = std::numeric_limits<float>::infinity();
    CHECK(onDevice(gpu, logits, 3).front().index == 77);
    CHECK_THROWS_AS(onDevice(gpu, {1, 2}, 3), Error);
    CHECK_THROWS_AS(onDevice(gpu, logits, 129), Error);
}
