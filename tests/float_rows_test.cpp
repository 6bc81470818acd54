// The kernels that work row by row: embedding, RMSNorm, rotary positions with the cache, SwiGLU.
// To add a shape, add a line to the list of its case.

#include "kernels/embedding.h"
#include "kernels/rms_norm.h"
#include "kernels/rope_store.h"
#include "kernels/rope_table.h"
#include "kernels/swiglu.h"

#include "format/half.h"

#include "support/float_close.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"
#include "support/tiers.h"

#include <doctest/doctest.h>

#include <bit>
#include <cstring>

using namespace vulcat;
using test::Expected;
using test::kEpsilon;

namespace {

// Bytes of float values stored in `format`, and the values that were stored.
std::vector<std::byte> store(kernels::WeightFormat format, std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * (format == kernels::WeightFormat::F32 ? 4 : 2));
    for (size_t i = 0; i < values.size(); ++i) {
        if (format == kernels::WeightFormat::F32) {
            std::memcpy(&bytes[i * 4], &values[i], 4);
            continue;
        }
        const bool half = format == kernels::WeightFormat::F16;
        const uint16_t bits = half ? format::floatToHalf(values[i]) : format::floatToBfloat16(values[i]);
        values[i] = half ? format::halfToFloat(bits) : format::bfloat16ToFloat(bits);
        std::memcpy(&bytes[i * 2], &bits, 2);
    }
    return bytes;
}

}  // namespace

TEST_CASE("embedding rows are exact in every format, in one panel or several") {
    using kernels::WeightFormat;
    for (const bool split : {false, true}) {
        vk::DeviceOptions options;
        if (split) options.limits.maxStorageRange = 64 << 10;
        test::GpuFixture gpu(options);
        vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 1 << 20);
        vk::Uploader uploader(gpu.device());
        test::Rng rng(1);
        const vk::CapabilitySet words = gpu.capabilities();  // where there is ADDRESS
        const vk::CapabilitySet lanes = words - vk::CapabilitySet{vk::Capability::Address};
        for (const WeightFormat format : {WeightFormat::F32, WeightFormat::F16, WeightFormat::BF16}) {
            for (const uint32_t width : {64u, 172u, 43u, 1u}) {
                const uint32_t vocabulary = 517;
                std::vector<float> table = rng.gaussians(size_t{vocabulary} * width);
                table[0] = 0x1p-20f;  // subnormal in fp16
                const std::vector<std::byte> bytes = store(format, table);
                const kernels::LinearShape shape{format, width, 0};
                const kernels::LinearPart part{vocabulary, bytes, {}, {}, {}};
                for (const vk::CapabilitySet& allowed : {lanes, words}) {
                    const kernels::LinearWeights weights(gpu.device(), arena, uploader, allowed, shape,
                                                         {&part, 1},
                                                         kernels::floatOrder(gpu.device(), allowed, shape));
                    uploader.finish();
                    if (split && format == WeightFormat::F32 && width == 172) CHECK(weights.panels().size() > 1);
                    const kernels::Embedding embedding(gpu.device(), gpu.pipelines(), allowed, shape);
                    const std::vector<uint32_t> ids{0, 516, 1, 7, 8, 255, 256, 0, 31};
                    const auto y = gpu.output<float>(ids.size() * width);
                    const auto idView = gpu.upload(ids);
                    gpu.run([&](vk::Recorder& recorder) {
                        embedding.record(recorder, {idView, weights, y, static_cast<uint32_t>(ids.size())});
                    });
                    std::vector<float> expected;
                    for (const uint32_t id : ids) {
                        expected.insert(expected.end(), table.begin() + static_cast<std::ptrdiff_t>(size_t{id} * width),
                                        table.begin() + static_cast<std::ptrdiff_t>(size_t{id + 1} * width));
                    }
                    CHECK(gpu.readBack<float>(y) == expected);
                }
                gpu.clear();
            }
        }
    }
}

TEST_CASE("RMSNorm is accurate to a few roundings") {
    struct Shape {
        uint32_t rows, width;
        double scale;
    };
    test::GpuFixture gpu;
    test::Rng rng(2);
    for (const Shape& shape : {Shape{1, 64, 1}, Shape{17, 64, 1e-3}, Shape{5, 172, 30}, Shape{3, 1, 1}, Shape{2, 43, 1},
                               Shape{33, 640, 1}, Shape{1, 4096, 1}, Shape{2, 64, 0}}) {
        const std::vector<float> x = rng.gaussians(size_t{shape.rows} * shape.width, shape.scale);
        const std::vector<float> gamma = rng.gaussians(shape.width);
        const float epsilon = 1e-5f;
        std::vector<Expected> expected;
        for (size_t m = 0; m < shape.rows; ++m) {
            double squares = 0;
            for (size_t k = 0; k < shape.width; ++k) squares += std::pow(x[m * shape.width + k], 2.0);
            const double factor = 1 / std::sqrt(squares / shape.width + static_cast<double>(epsilon));
            for (size_t k = 0; k < shape.width; ++k) {
                const double value =
                    static_cast<double>(x[m * shape.width + k]) * factor * static_cast<double>(gamma[k]);
                // Half the relative error of the sum (as few as width roundings), the root's and division's 2 ULP each.
                expected.push_back({value, std::fabs(value) * (shape.width / 2.0 + 12) * kEpsilon});
            }
        }
        for (const vk::CapabilitySet allowed : test::tiers(gpu.capabilities())) {
            const kernels::RmsNorm norm(gpu.device(), gpu.pipelines(), allowed, shape.width, epsilon);
            const auto y = gpu.output<float>(x.size());
            const kernels::RmsNorm::Args args{gpu.upload(x), gpu.upload(gamma), y, shape.rows};
            gpu.run([&](vk::Recorder& recorder) { norm.record(recorder, args); });
            CHECK_MESSAGE(test::compare(gpu.readBack<float>(y), expected) == "", shape.rows, " x ", shape.width);
        }
        gpu.clear();
    }
}

TEST_CASE("SwiGLU is accurate for gates of any size") {
    test::GpuFixture gpu;
    test::Rng rng(3);
    for (const uint32_t width : {64u, 172u, 3u, 1000u}) {
        const uint32_t rows = 5;
        std::vector<float> x = rng.gaussians(size_t{rows} * 2 * width, 4);
        x[0] = -86;
        x[1] = 200;
        x[2] = -300;
        std::vector<Expected> expected;
        for (size_t m = 0; m < rows; ++m) {
            for (size_t f = 0; f < width; ++f) {
                const double gate = x[m * 2 * width + f];
                const double up = x[m * 2 * width + width + f];
                const double value = gate / (1 + std::exp(-gate)) * up;
                // exp 2 ULP, sum, division 2.5 ULP, product; where exp(88) is the ceiling the value is below 1e-35.
                expected.push_back({value, std::fabs(value) * 16 * kEpsilon + 1e-34});
            }
        }
        const auto input = gpu.upload(x);
        for (const vk::CapabilitySet allowed : test::tiers(gpu.capabilities())) {
            const kernels::SwiGlu swiglu(gpu.device(), gpu.pipelines(), allowed, width);
            const auto y = gpu.output<float>(size_t{rows} * width);
            gpu.run([&](vk::Recorder& recorder) { swiglu.record(recorder, {input, y, rows}); });
            CHECK_MESSAGE(test::compare(gpu.readBack<float>(y), expected) == "", "width ", width);
        }
        gpu.clear();
    }
}

TEST_CASE("rotary positions: queries in place, keys and values in the cache, nothing else touched") {
    struct Shape {
        kernels::AttentionShape attention;
        uint32_t rows, position;
    };
    test::GpuFixture gpu;
    test::Rng rng(4);
    for (const Shape& shape : {Shape{{8, 4, 8}, 3, 0}, Shape{{4, 4, 64}, 17, 5}, Shape{{2, 1, 128}, 1, 30},
                               Shape{{3, 1, 10}, 5, 2}, Shape{{1, 1, 2}, 2, 1}}) {
        const kernels::AttentionShape& a = shape.attention;
        const uint32_t context = 64;
        const size_t half = a.headDim / 2;
        const std::vector<float> table = kernels::ropeTable(a.headDim, 10000, std::nullopt, context);
        const std::vector<float> qkv = rng.gaussians(size_t{shape.rows} * a.qkvWidth());
        const auto keys = gpu.output<float>(size_t{context} * a.cacheWidth());
        const auto values = gpu.output<float>(size_t{context} * a.cacheWidth());
        const auto rows = gpu.upload(qkv);
        const auto tableView = gpu.upload(table);
        const kernels::RopeStore rope(gpu.device(), gpu.pipelines(), gpu.capabilities(), a);
        gpu.run([&](vk::Recorder& recorder) {
            rope.record(recorder, {rows, tableView, keys, values, shape.rows, shape.position});
        });
        const std::vector<float> rotated = gpu.readBack<float>(rows);
        const std::vector<float> keyRows = gpu.readBack<float>(keys);
        const std::vector<float> valueRows = gpu.readBack<float>(values);
        std::vector<float> actual;
        std::vector<Expected> expected;
        size_t untouched = 0;
        for (size_t m = 0; m < shape.rows; ++m) {
            for (size_t head = 0; head < a.heads + 2 * a.kvHeads; ++head) {
                const size_t from = m * a.qkvWidth() + head * a.headDim;
                const size_t to = ((shape.position + m) * a.kvHeads + (head - a.heads) % a.kvHeads) * a.headDim;
                for (size_t i = 0; i < a.headDim; ++i) {
                    const double x = qkv[from + i];
                    if (head >= a.heads + a.kvHeads) {
                        actual.push_back(valueRows[to + i]);
                        expected.push_back({x, 0});
                        continue;
                    }
                    const double other = i < half ? -qkv[from + i + half] : qkv[from + i - half];
                    const size_t angle = ((shape.position + m) * half + i % half) * 2;
                    test::ProductSum sum;
                    sum.add(x, table[angle]);
                    sum.add(other, table[angle + 1]);
                    actual.push_back(head < a.heads ? rotated[from + i] : keyRows[to + i]);
                    expected.push_back(sum.expected());
                }
            }
        }
        for (size_t t = 0; t < context; ++t) {
            if (t >= shape.position && t < shape.position + shape.rows) continue;
            for (size_t i = 0; i < a.cacheWidth(); ++i) {
                untouched += std::bit_cast<uint32_t>(keyRows[t * a.cacheWidth() + i]) == 0xFFFFFFFFu;
                untouched += std::bit_cast<uint32_t>(valueRows[t * a.cacheWidth() + i]) == 0xFFFFFFFFu;
            }
        }
        CHECK_MESSAGE(test::compare(actual, expected) == "", "D ", a.headDim);
        CHECK(untouched == size_t{2} * (context - shape.rows) * a.cacheWidth());
        gpu.clear();
    }
}
