#include "support/integer_case.h"

#include <algorithm>
#include <cstdio>

namespace vulcat::test {
namespace {

float randomScale(Rng& rng, bool wild) {
    if (rng.integer(0, 40) == 0) return 0;
    if (wild) return static_cast<float>(rng.uniform(0.001, 0.1));
    return static_cast<float>(std::ldexp(1.0, static_cast<int>(rng.integer(-6, 2))));
}

}  // namespace

std::string IntegerCase::describe() const {
    return "M=" + std::to_string(rows) + " N=" + std::to_string(outputs) + " K=" + std::to_string(inputs) + " w" +
           std::to_string(weightBits) + "a" + std::to_string(activationBits) + " G=" + std::to_string(groupSize) +
           (zeros == ZeroPoints::Random ? " zeros" : "") + (bias ? " bias" : "") + (residual ? " residual" : "");
}

IntegerData randomData(const IntegerCase& shape, Rng& rng) {
    IntegerData data;
    data.weights.rows = shape.outputs;
    data.weights.columns = shape.inputs;
    data.weights.bits = shape.weightBits;
    data.weights.groupSize = shape.groupSize;
    const int most = shape.weightBits == 4 ? 7 : 127;
    const int least = shape.weightBits == 4 ? -8 : -127;
    data.weights.codes.resize(size_t{shape.outputs} * shape.inputs);
    for (int8_t& code : data.weights.codes) code = static_cast<int8_t>(rng.integer(least, most));
    data.weights.scales.resize(shape.outputs * data.weights.groups());
    for (float& scale : data.weights.scales) scale = randomScale(rng, shape.wildScales);

    data.x.rows = shape.rows;
    data.x.columns = shape.inputs;
    data.x.codes.resize(size_t{shape.rows} * shape.inputs);
    const bool asymmetric = shape.zeros == ZeroPoints::Random;
    const int64_t lowest = shape.activationBits == 8 ? -127 : asymmetric ? 0 : -8;
    const int64_t highest = shape.activationBits == 8 ? 127 : asymmetric ? 15 : 7;
    for (int8_t& code : data.x.codes) code = static_cast<int8_t>(rng.integer(lowest, highest));
    data.x.headers.resize(shape.rows);
    for (format::RowHeader& header : data.x.headers) {
        header.scale = randomScale(rng, shape.wildScales);
        header.zero = asymmetric ? static_cast<int32_t>(rng.integer(0, 15)) : 0;
    }
    refreshSums(data);
    if (shape.bias) data.bias = rng.gaussians(shape.outputs, 4);
    if (shape.residual) data.residual = rng.gaussians(size_t{shape.rows} * shape.outputs, 4);
    return data;
}

void refreshSums(IntegerData& data) {
    const uint64_t columns = data.weights.columns;
    const uint64_t groups = data.weights.groups();
    data.weights.codeSums.assign(data.weights.rows * groups, 0);
    for (uint64_t n = 0; n < data.weights.rows; ++n) {
        format::sumCodes(std::span(data.weights.codes).subspan(n * columns, columns), data.weights.groupSize,
                         std::span(data.weights.codeSums).subspan(n * groups, groups));
    }
    for (uint64_t m = 0; m < data.x.rows; ++m) {
        data.x.headers[m].codeSum = 0;
        for (uint64_t k = 0; k < columns; ++k) data.x.headers[m].codeSum += data.x.codes[m * columns + k];
    }
}

std::vector<vk::CapabilitySet> integerVariants(const GpuFixture& gpu) {
    using vk::Capability;
    static constexpr vk::CapabilitySet kSets[] = {{Capability::Subgroup},
                                                  {Capability::Subgroup, Capability::Texel},
                                                  {Capability::Dot},
                                                  {Capability::Dot, Capability::Subgroup, Capability::Scalars},
                                                  {Capability::Subgroup, Capability::Quads},
                                                  {Capability::Subgroup, Capability::Address},
                                                  {Capability::Subgroup, Capability::I8, Capability::Coopmat}};
    std::vector<vk::CapabilitySet> sets = {{}};
    for (const vk::CapabilitySet& set : kSets) {
        if (gpu.capabilities().contains(set)) sets.push_back(set);
    }
    return sets;
}

void saySkippedVariants(const GpuFixture& gpu) {
    const vk::CapabilitySet missing =
        vk::CapabilitySet{vk::Capability::Subgroup, vk::Capability::Texel, vk::Capability::Dot, vk::Capability::Quads,
                          vk::Capability::Coopmat, vk::Capability::Address, vk::Capability::Scalars} -
        gpu.capabilities();
    if (!missing.empty())
        std::printf("SKIPPED: variants that need %s, which this device lacks\n", missing.toString().c_str());
}

kernels::LinearSize sizeOf(const IntegerData& data) {
    const auto format = data.weights.bits == 4 ? kernels::WeightFormat::Int4 : kernels::WeightFormat::Int8;
    const kernels::LinearShape shape{format, static_cast<uint32_t>(data.weights.columns), static_cast<uint32_t>(data.weights.groupSize)};
    return {shape, static_cast<uint32_t>(data.weights.rows)};
}

std::vector<float> runOnGpu(GpuFixture& gpu, const vk::CapabilitySet& allowed, const IntegerData& data,
                            uint32_t parts, uint32_t splits, std::span<const kernels::LinearTile> tuned) {
    const auto rows = static_cast<uint32_t>(data.x.rows);
    const auto [shape, outputs, input] = sizeOf(data);
    const std::vector<std::byte> packed = data.weights.packedCodes();
    std::vector<kernels::LinearPart> stack;
    for (uint32_t begin = 0, i = 1; i <= parts; ++i) {
        const uint32_t end = outputs * i / parts;
        const size_t count = end - begin;
        const size_t groups = shape.groups();
        stack.push_back({end - begin,
                         std::span(packed).subspan(begin * shape.sourceRowBytes(), count * shape.sourceRowBytes()),
                         std::span(data.weights.scales).subspan(begin * groups, count * groups),
                         std::span(data.weights.codeSums).subspan(begin * groups, count * groups),
                         data.bias.empty() ? std::span<const float>() : std::span(data.bias).subspan(begin, count)});
        begin = end;
    }

    vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 1u << 20);
    vk::Uploader uploader(gpu.device());
    const kernels::LinearWeights weights(gpu.device(), arena, uploader, allowed, shape, stack,
                                         kernels::integerOrder(gpu.device(), allowed, shape));
    uploader.finish();
    const kernels::IntegerLinear linear(gpu.device(), gpu.pipelines(), allowed, {shape, outputs}, rows, tuned, splits);
    const kernels::QuantisedRows x(gpu.device(), allowed, gpu.upload(kernels::layOutRows(data.x)), rows, shape.inputs);
    const vk::BufferView y = gpu.output<float>(size_t{rows} * outputs);
    const vk::BufferView residual = gpu.upload(data.residual);
    gpu.run([&](vk::Recorder& recorder) {
        if (!data.residual.empty()) recorder.copy(residual.part(0, y.size), y);
        linear.record(recorder, {x, weights, y, rows, !data.residual.empty()});
    });
    std::vector<float> result = gpu.readBack<float>(y);
    gpu.clear();
    return result;
}

size_t countWrong(const std::vector<float>& y, const std::vector<float>& expected, std::string& first) {
    if (y.size() != expected.size()) {
        first = "sizes differ";
        return std::max(y.size(), expected.size());
    }
    size_t wrong = 0;
    for (size_t i = 0; i < y.size(); ++i) {
        if (y[i] == expected[i]) continue;
        if (wrong++ == 0) {
            first =
                "output " + std::to_string(i) + " is " + std::to_string(y[i]) + ", not " + std::to_string(expected[i]);
        }
    }
    return wrong;
}

}  // namespace vulcat::test
