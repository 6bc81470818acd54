// Mix and quantiser in one dispatch against the single kernels one after the other.

#include "kernels/site_tiles.h"

#include "kernels/mix_dense.h"
#include "kernels/mix_hadamard.h"
#include "kernels/quantise_rows.h"

#include "support/codes_close.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"

#include "base/error.h"

#include <doctest/doctest.h>

using namespace vulcat;

namespace {

kernels::SiteCodesShape mixShape(uint32_t width, uint32_t core, uint32_t stride, uint32_t order, kernels::ActivationFormat format) {
    return {width, kernels::SiteSource::Rows, 0, 0, core, stride, order, format};
}

std::vector<uint32_t> single(test::GpuFixture& gpu, const kernels::SiteCodesShape& shape, const std::vector<float>& x,
                             const std::vector<float>& matrix, uint32_t rows) {
    const vk::CapabilitySet allowed{vk::Capability::Subgroup, vk::Capability::Texel};
    vk::BufferView current = gpu.upload(x);
    if (shape.mixCore > 1) {
        const kernels::MixDense mix(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.mixCore, shape.mixStride);
        const auto words = gpu.upload(kernels::MixDense::layOut(shape.mixCore, matrix));
        const auto y = gpu.output<float>(x.size());
        gpu.run([&](vk::Recorder& recorder) { mix.record(recorder, {current, words, y, rows}); });
        current = y;
    }
    if (shape.mixOrder > 1) {
        const kernels::MixHadamard mix(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.mixOrder,
                                       shape.mixStride * shape.mixCore);
        const auto y = gpu.output<float>(x.size());
        gpu.run([&](vk::Recorder& recorder) { mix.record(recorder, {current, y, rows}); });
        current = y;
    }
    const auto storage = gpu.output(kernels::QuantisedRows::sizeBytes(rows, shape.width));
    const kernels::QuantisedRows out(gpu.device(), {}, storage, rows, shape.width);
    const kernels::QuantiseRows quantise(gpu.device(), gpu.pipelines(), allowed, shape.format);
    gpu.run([&](vk::Recorder& recorder) { quantise.record(recorder, {current, out, rows}); });
    return gpu.readBack<uint32_t>(storage);
}

}  // namespace

TEST_CASE("mix and codes in one dispatch are those of the single kernels") {
    struct Case {
        uint32_t rows, width, core, stride, order;
    };
    test::GpuFixture gpu;
    test::Rng rng(1);
    constexpr kernels::ActivationFormat kFormats[] = {{8, true}, {4, true}, {4, false}};
    size_t number = 0;
    for (const Case& c : {Case{3, 4096, 1, 64, 64}, Case{2, 14336, 28, 64, 8}, Case{5, 2752, 43, 64, 1},
                          Case{2, 1536, 3, 128, 4}, Case{1, 384, 3, 64, 2}, Case{7, 640, 5, 64, 2}, Case{2, 1024, 1, 64, 4},
                          Case{1, 8192, 1, 64, 128}, Case{4, 512, 1, 32, 4}, Case{2, 4096, 1, 64, 64}, Case{1, 4096, 1, 64, 64},
                          Case{2, 896, 7, 64, 2}, Case{3, 896, 7, 64, 1}}) {
        const kernels::SiteCodesShape shape = mixShape(c.width, c.core, c.stride, c.order, kFormats[number++ % 3]);
        if (!kernels::SiteRow::fits(gpu.device(), gpu.capabilities(), shape)) {
            MESSAGE("SKIPPED: no kernel on this device for a stride of ", c.stride, ", core ", c.core, ", order ", c.order);
            continue;
        }
        const std::vector<float> x = rng.gaussians(size_t{c.rows} * c.width);
        const std::vector<float> matrix = c.core == 1 ? std::vector<float>() : rng.gaussians(size_t{c.core} * c.core);
        const kernels::SiteTiles mix(gpu.device(), gpu.pipelines(), shape);
        const auto input = gpu.upload(x);
        const auto floats = gpu.upload(kernels::SiteCodes::layOut(shape, {}, matrix));
        const auto unused = gpu.output<float>(x.size()), arrivals = gpu.upload(std::vector<uint32_t>(1));
        const auto storage = gpu.output(kernels::QuantisedRows::sizeBytes(c.rows, c.width));
        const kernels::QuantisedRows out(gpu.device(), {}, storage, c.rows, c.width);
        gpu.run([&](vk::Recorder& recorder) { mix.record(recorder, {input, {floats, {}, unused}, out, c.rows, arrivals}); });
        const auto codes = gpu.readBack<uint32_t>(storage);
        const auto expected = single(gpu, shape, x, matrix, c.rows);
        const size_t wrong = test::codeDifferences(codes, expected, kernels::QuantisedRows::rowWords(c.width));
        // Sums of the dense mix are fused here and not there: codes at a tie move.
        const size_t ties = c.core == 1 ? 0 : 2 + codes.size() / 100;
        CHECK_MESSAGE(wrong <= ties, "width ", c.width, " core ", c.core, " order ", c.order, ": ", wrong, " differences");
        int64_t sum = 0, header = 0;
        for (size_t i = 0; i < codes.size(); ++i) {
            const size_t at = i % kernels::QuantisedRows::rowWords(c.width);
            if (at == 2) header += static_cast<int32_t>(codes[i]);
            for (uint32_t shift = 0; at >= 4 && shift < 32; shift += 8) sum += static_cast<int8_t>(codes[i] >> shift);
        }
        CHECK(sum == header);
        gpu.clear();
    }
}

TEST_CASE("mixes that cannot be in one dispatch are refused") {
    test::GpuFixture gpu;
    CHECK_FALSE(kernels::SiteRow::fits(gpu.device(), {}, mixShape(4096, 1, 64, 64, {})));
    CHECK_THROWS_AS(kernels::SiteTiles(gpu.device(), gpu.pipelines(), mixShape(4096, 3, 64, 64, {})), Error);
    CHECK_THROWS_AS(kernels::SiteTiles(gpu.device(), gpu.pipelines(), mixShape(4096, 1, 64, 24, {})), Error);
}
