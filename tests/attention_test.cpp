// Causal attention against softmax in double: decoding and prefill, grouped queries, contexts off every tile.

#include "kernels/attention.h"

#include "support/float_close.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"
#include "support/tiers.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vulcat;
using test::Expected;
using test::kEpsilon;

namespace {

struct Shape {
    kernels::AttentionShape attention;
    uint32_t rows, position;
    double scale = 1;  ///< of queries: large ones make the softmax sharp
};

struct Data {
    std::vector<float> qkv, keys, values;
};

Data randomData(const Shape& shape, test::Rng& rng) {
    const size_t end = shape.position + shape.rows;
    return {rng.gaussians(size_t{shape.rows} * shape.attention.qkvWidth(), shape.scale),
            rng.gaussians(end * shape.attention.cacheWidth()), rng.gaussians(end * shape.attention.cacheWidth())};
}

void attend(const Shape& shape, const Data& data, size_t m, size_t head, std::vector<Expected>& expected) {
    const kernels::AttentionShape& a = shape.attention;
    const size_t width = a.headDim;
    const size_t keyHead = head / (a.heads / a.kvHeads);
    const size_t count = shape.position + m + 1;
    std::vector<double> scores(count);
    double scoreError = 0;
    for (size_t t = 0; t < count; ++t) {
        test::ProductSum sum;
        for (size_t i = 0; i < width; ++i) {
            sum.add(data.qkv[m * a.qkvWidth() + head * width + i], data.keys[(t * a.kvHeads + keyHead) * width + i]);
        }
        const double scale = 1 / std::sqrt(static_cast<double>(width));
        scores[t] = sum.value() * scale;
        scoreError = std::max(scoreError, sum.expected().bound * scale);
    }
    const double largest = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - largest);
    for (size_t i = 0; i < width; ++i) {
        double value = 0;
        double magnitude = 0;
        for (size_t t = 0; t < count; ++t) {
            const double term =
                scores[t] / total * static_cast<double>(data.values[(t * a.kvHeads + keyHead) * width + i]);
            value += term;
            magnitude += std::fabs(term);
        }
        // An error of the scores moves each weight and their sum by as much; then exp's argument (up to 100) and
        // result, the rescalings, one for each tile of at least 4 keys, and the sums.
        const double roundings = 2.0 * static_cast<double>(count) + 200;
        expected.push_back({value, magnitude * (2 * scoreError + roundings * kEpsilon)});
    }
}

void check(test::GpuFixture& gpu, const Shape& shape, test::Rng& rng) {
    const kernels::AttentionShape& a = shape.attention;
    const Data data = randomData(shape, rng);
    std::vector<Expected> expected;
    for (size_t m = 0; m < shape.rows; ++m) {
        for (size_t head = 0; head < a.heads; ++head) attend(shape, data, m, head, expected);
    }
    const kernels::Attention::Args inputs{gpu.upload(data.qkv), gpu.upload(data.keys), gpu.upload(data.values), {},
                                          shape.rows,           shape.position, {}};
    for (const vk::CapabilitySet allowed : test::tiers(gpu.capabilities())) {
        const kernels::Attention attention(gpu.device(), gpu.pipelines(), allowed, a);
        kernels::Attention::Args args = inputs;
        args.y = gpu.output<float>(expected.size());
        gpu.run([&](vk::Recorder& recorder) { attention.record(recorder, args); });
        const std::string difference = test::compare(gpu.readBack<float>(args.y), expected);
        CHECK_MESSAGE(difference == "", "H ", a.heads, " Hk ", a.kvHeads, " D ", a.headDim, " M ", shape.rows, " from ",
                      shape.position, " on ", allowed.toString());
        if (shape.rows != 1) continue;
        // With room for 1, 2, 3 and many parts of the context.
        const kernels::Attention splitting(gpu.device(), gpu.pipelines(), allowed, a, true);
        for (const uint32_t room : {1u, 2u, 3u, 64u}) {
            args.y = gpu.output<float>(expected.size());
            args.scratch = gpu.output<float>(size_t{room} * a.heads * ((a.headDim + 3) / 4 + 1) * 4);
            gpu.run([&](vk::Recorder& recorder) {
                splitting.record(recorder, args);
                const bool split = room > 1 && shape.position + 1 >= 512;
                CHECK(recorder.dispatchCount() == (split ? 2 : 1));
            });
            const std::string ofParts = test::compare(gpu.readBack<float>(args.y), expected);
            CHECK_MESSAGE(ofParts == "", "H ", a.heads, " Hk ", a.kvHeads, " D ", a.headDim, " from ", shape.position,
                          " in up to ", room, " parts on ", allowed.toString());
        }
    }
    gpu.clear();
}

}  // namespace

TEST_CASE("decoding one row at contexts from 1 to 1000") {
    test::GpuFixture gpu;
    test::Rng rng(1);
    for (const uint32_t position : {0u, 1u, 2u, 6u, 7u, 15u, 16u, 31u, 32u, 33u, 999u}) {
        check(gpu, {{8, 4, 8}, 1, position}, rng);
    }
    for (const Shape& shape :
         {Shape{{4, 1, 64}, 1, 40}, Shape{{6, 2, 64}, 1, 17}, Shape{{2, 2, 128}, 1, 100}, Shape{{3, 3, 10}, 1, 9}}) {
        check(gpu, shape, rng);
    }
}

TEST_CASE("decoding one row at long contexts, whole and in parts") {
    test::GpuFixture gpu;
    test::Rng rng(4);
    for (const Shape& shape : {Shape{{4, 1, 64}, 1, 510}, Shape{{4, 1, 64}, 1, 511}, Shape{{4, 2, 16}, 1, 1025},
                               Shape{{6, 2, 10}, 1, 700}, Shape{{3, 1, 128}, 1, 2000, 20}, Shape{{7, 1, 256}, 1, 600},
                               Shape{{5, 1, 2}, 1, 530}}) {
        check(gpu, shape, rng);
    }
}

TEST_CASE("prefill from any position") {
    test::GpuFixture gpu;
    test::Rng rng(2);
    for (const Shape& shape :
         {Shape{{8, 4, 8}, 2, 0}, Shape{{8, 4, 8}, 17, 0}, Shape{{8, 4, 8}, 33, 100}, Shape{{4, 1, 64}, 5, 3},
          Shape{{2, 2, 64}, 17, 31}, Shape{{2, 1, 128}, 3, 64}, Shape{{3, 1, 80}, 4, 0}, Shape{{3, 1, 10}, 5, 7},
          Shape{{1, 1, 2}, 9, 0}, Shape{{1, 1, 256}, 3, 5}}) {
        check(gpu, shape, rng);
    }
}

TEST_CASE("a sharp softmax neither overflows nor loses the largest score") {
    test::GpuFixture gpu;
    test::Rng rng(3);
    check(gpu, {{2, 1, 64}, 3, 50, 40}, rng);
    check(gpu, {{2, 2, 8}, 1, 200, 100}, rng);
}

TEST_CASE("shapes that cannot be are refused") {
    test::GpuFixture gpu;
    for (const kernels::AttentionShape& shape :
         {kernels::AttentionShape{3, 2, 64}, {2, 1, 7}, {2, 1, 512}, {1, 0, 8}}) {
        CHECK_THROWS_AS(kernels::Attention(gpu.device(), gpu.pipelines(), gpu.capabilities(), shape), Error);
    }
}
