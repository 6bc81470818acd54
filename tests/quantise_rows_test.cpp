// The row quantiser: its codes are the CPU twin's, but for counted ties.

#include "kernels/quantise_rows.h"

#include "format/quantise.h"

#include "support/gpu_fixture.h"
#include "support/rng.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <bit>
#include <cstdio>

using namespace vulcat;

namespace {

constexpr kernels::ActivationFormat kFormats[] = {{8, true}, {4, true}, {4, false}};

std::vector<float> makeRows(test::Rng& rng, uint32_t rows, uint32_t inputs) {
    std::vector<float> x = rng.gaussians(size_t{rows} * inputs);
    for (uint32_t m = 0; m < rows; ++m) {
        const int64_t kind = rng.integer(0, 6);
        const double scale = std::ldexp(1.0, static_cast<int>(rng.integer(-30, 30)));
        for (uint32_t k = 0; k < inputs; ++k) {
            float& value = x[size_t{m} * inputs + k];
            value *= static_cast<float>(scale);
            if (kind == 0) value = 0;
            if (kind == 1) value = std::fabs(value);
            if (kind == 2) value = -std::fabs(value);
            if (kind == 3 && k % 7 != 0) value = 0;
            if (kind == 4) value = static_cast<float>(rng.integer(-15, 15));  // many exact ties
        }
    }
    return x;
}

// Codes may differ by one where x * inverse lies within a few roundings of a tie.
bool nearTie(float x, const format::RowHeader& header) {
    if (header.scale == 0) return false;
    const double exact = static_cast<double>(x) / header.scale;
    const double distance = std::fabs(std::fabs(exact - std::floor(exact)) - 0.5);
    return distance < 1e-6 * (1 + std::fabs(exact));
}

struct Count {
    size_t codes = 0;
    size_t ties = 0;
    size_t wrong = 0;
};

void compareRow(std::span<const uint32_t> row, std::span<const float> x, format::ActivationFormat format,
                Count& count) {
    std::vector<int8_t> codes(x.size());
    const format::RowHeader expected = format::quantiseRow(x, format, codes);
    count.wrong += std::bit_cast<float>(row[0]) != expected.scale;
    count.wrong += static_cast<int32_t>(row[1]) != expected.zero;
    count.wrong += row[3] != 0;
    int32_t sum = 0;
    for (size_t k = 0; k < (row.size() - 4) * 4; ++k) {
        const auto code = static_cast<int8_t>(row[4 + k / 4] >> (8 * (k % 4)) & 255);
        sum += code;
        const int difference = code - (k < x.size() ? codes[k] : 0);
        ++count.codes;
        if (difference == 0) continue;
        const bool tie = k < x.size() && std::abs(difference) == 1 && nearTie(x[k], expected);
        ++(tie ? count.ties : count.wrong);
    }
    count.wrong += static_cast<int32_t>(row[2]) != sum;
}

Count quantiseAndCompare(test::GpuFixture& gpu, const kernels::ActivationFormat& format, std::span<const float> x,
                         uint32_t rows) {
    const auto inputs = static_cast<uint32_t>(x.size() / rows);
    const kernels::QuantiseRows quantise(gpu.device(), gpu.pipelines(), gpu.capabilities(), format);
    const vk::BufferView storage = gpu.output(kernels::QuantisedRows::sizeBytes(rows, inputs));
    const kernels::QuantisedRows out(gpu.device(), gpu.capabilities(), storage, rows, inputs);
    const vk::BufferView input = gpu.upload(x);
    gpu.run([&](vk::Recorder& recorder) { quantise.record(recorder, {input, out, rows}); });
    const std::vector<uint32_t> words = gpu.readBack<uint32_t>(storage);
    const size_t stride = kernels::QuantisedRows::rowWords(inputs);
    Count count;
    for (uint32_t m = 0; m < rows; ++m) {
        compareRow(std::span(words).subspan(m * stride, stride), x.subspan(size_t{m} * inputs, inputs),
                   format::activationFormat(static_cast<int>(format.bits), format.symmetric), count);
    }
    gpu.clear();
    return count;
}

}  // namespace

TEST_CASE("codes, scales, zero points and sums are those of the CPU") {
    test::GpuFixture gpu;
    test::Rng rng(31);
    for (const kernels::ActivationFormat& format : kFormats) {
        Count total;
        for (const uint32_t inputs : {1u, 3u, 31u, 32u, 33u, 64u, 172u, 1000u, 4096u}) {
            for (const uint32_t rows : {1u, 2u, 17u}) {
                const std::vector<float> x = makeRows(rng, rows, inputs);
                const Count count = quantiseAndCompare(gpu, format, x, rows);
                CHECK_MESSAGE(count.wrong == 0, "a", format.bits, " M=", rows, " K=", inputs, ": ", count.wrong,
                              " wrong");
                total.codes += count.codes;
                total.ties += count.ties;
            }
        }
        std::printf("a%u %s: %zu codes, %zu ties decided the other way\n", format.bits,
                    format.symmetric ? "symmetric" : "asymmetric", total.codes, total.ties);
        CHECK(total.ties * 1000 <= total.codes);
    }
}

TEST_CASE("more rows than workgroups a dimension") {
    vk::DeviceOptions options;
    options.limits.maxWorkgroupCount = {5, 5, 5};
    test::GpuFixture gpu(options);
    test::Rng rng(32);
    const std::vector<float> x = makeRows(rng, 23, 40);
    CHECK(quantiseAndCompare(gpu, kFormats[2], x, 23).wrong == 0);
    CHECK(gpu.recorder().dispatchCount() == 5);
}

TEST_CASE("formats that do not exist are refused") {
    test::GpuFixture gpu;
    const auto make = [&](kernels::ActivationFormat format) {
        kernels::QuantiseRows(gpu.device(), gpu.pipelines(), gpu.capabilities(), format);
    };
    CHECK_THROWS_AS(make({8, false}), Error);
    CHECK_THROWS_AS(make({16, true}), Error);
}
