// The device layout of weights, word by word against its definition in kernels/linear_weights.h.

#include "kernels/linear_weights.h"
#include "kernels/variant.h"

#include "format/quantise.h"

#include "support/rng.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <bit>

using namespace vulcat;
using kernels::LinearPart;
using kernels::LinearShape;
using kernels::WeightFormat;

namespace {

struct Stack {
    std::vector<format::QuantisedMatrix> matrices;
    std::vector<std::vector<std::byte>> packed;
    std::vector<std::vector<float>> biases;
    std::vector<LinearPart> parts;
};

Stack makeStack(const LinearShape& shape, std::initializer_list<uint32_t> rows, test::Rng& rng) {
    Stack stack;
    for (const uint32_t count : rows) {
        const std::vector<float> weights = rng.gaussians(size_t{count} * shape.inputs);
        stack.matrices.push_back(format::quantiseWeights(weights, count, shape.inputs, static_cast<int>(shape.bits()),
                                                         shape.groupSize, format::ScaleSearch::AbsMax));
        stack.packed.push_back(stack.matrices.back().packedCodes());
        stack.biases.push_back(rng.gaussians(count));
    }
    for (size_t i = 0; i < stack.matrices.size(); ++i) {
        const format::QuantisedMatrix& matrix = stack.matrices[i];
        const std::span<const float> bias = i == 1 ? std::span<const float>() : std::span<const float>(stack.biases[i]);
        stack.parts.push_back(
            {static_cast<uint32_t>(matrix.rows), stack.packed[i], matrix.scales, matrix.codeSums, bias});
    }
    return stack;
}

// The code of K-index k in a re-laid int4 word, as the header orders the nibbles.
int codeOfWord(uint32_t word, uint32_t k) {
    constexpr uint32_t kOrder[8] = {2, 6, 3, 7, 0, 4, 1, 5};
    for (uint32_t nibble = 0; nibble < 8; ++nibble) {
        if (kOrder[nibble] == k) return static_cast<int>(word >> (4 * nibble) & 15) - 8;
    }
    return 99;
}

int codeAt(const LinearShape& shape, std::span<const uint32_t> words, uint32_t row, uint32_t k, uint32_t lanes) {
    const uint32_t codesOfUnit = 128 / shape.bits();
    const size_t unit = (size_t{row / lanes} * shape.units() + k / codesOfUnit) * lanes + row % lanes;
    const uint32_t inUnit = k % codesOfUnit;
    if (shape.bits() == 4) return codeOfWord(words[unit * 4 + inUnit / 8], inUnit % 8);
    return static_cast<int8_t>(words[unit * 4 + inUnit / 4] >> (8 * (inUnit % 4)) & 255);
}

}  // namespace

TEST_CASE("re-laid integer codes and parameters stand where the header says") {
    test::Rng rng(1);
    for (const WeightFormat weights : {WeightFormat::Int4, WeightFormat::Int8}) {
        for (const uint32_t groupSize : {0u, 32u, 64u}) {
            for (const uint32_t lanes : {4u, 8u, 32u}) {
                const LinearShape shape{weights, 75, groupSize};
                const Stack stack = makeStack(shape, {5, 30, 2}, rng);
                const kernels::PanelRange range{lanes / 4, 37 - lanes / 4};  // pure functions take any range
                const std::vector<uint32_t> codes = kernels::relayCodes(shape, stack.parts, range, lanes);
                const std::vector<uint32_t> parameters = kernels::relayParameters(shape, stack.parts, range, lanes);
                const uint32_t tiles = (range.rowCount + lanes - 1) / lanes;
                REQUIRE(codes.size() == size_t{tiles} * shape.units() * lanes * 4);
                REQUIRE(parameters.size() == size_t{(tiles + 1) / 2} * (shape.groups() + 1) * lanes * 4);

                uint32_t wrong = 0;
                for (uint32_t r = 0; r < tiles * lanes; ++r) {
                    const uint32_t source = range.rowBegin + r;
                    const size_t part = source < 5 ? 0 : source < 35 ? 1 : 2;
                    const uint32_t row = source - (part == 0 ? 0u : part == 1 ? 5u : 35u);
                    const bool exists = r < range.rowCount;
                    const format::QuantisedMatrix& matrix = stack.matrices[part];
                    for (uint32_t k = 0; k < shape.paddedInputs(); ++k) {
                        const int expected = exists && k < shape.inputs ? matrix.codes[row * matrix.columns + k] : 0;
                        wrong += codeAt(shape, codes, r, k, lanes) != expected;
                    }
                    const uint32_t tile = r / lanes;
                    for (uint32_t group = 0; group <= shape.groups(); ++group) {
                        const size_t at =
                            ((size_t{tile / 2} * (shape.groups() + 1) + group) * lanes + r % lanes) * 4 + tile % 2 * 2;
                        const size_t from = row * shape.groups() + group;
                        const bool isBias = group == shape.groups();
                        const float first = !exists     ? 0
                                            : !isBias   ? matrix.scales[from]
                                            : part == 1 ? 0
                                                        : stack.biases[part][row];
                        const int32_t second = exists && !isBias ? matrix.codeSums[from] : 0;
                        wrong += std::bit_cast<float>(parameters[at]) != first;
                        wrong += static_cast<int32_t>(parameters[at + 1]) != second;
                    }
                }
                CHECK(wrong == 0);
            }
        }
    }
}

TEST_CASE("the order of words holds the same words, each beside those of the other lanes") {
    using kernels::WeightOrder;
    test::Rng rng(3);
    for (const uint32_t groupSize : {0u, 32u}) {
        const LinearShape shape{WeightFormat::Int4, 75, groupSize};
        const Stack stack = makeStack(shape, {5, 14}, rng);
        constexpr uint32_t kLanes = 8;
        const kernels::PanelRange range{0, 19};
        for (const auto& relay : {kernels::relayCodes, kernels::relayParameters}) {
            const std::vector<uint32_t> lanes = relay(shape, stack.parts, range, kLanes, WeightOrder::Lanes);
            const std::vector<uint32_t> words = relay(shape, stack.parts, range, kLanes, WeightOrder::Words);
            REQUIRE(words.size() == lanes.size());
            for (size_t i = 0; i < lanes.size(); ++i) {
                const size_t unit = i / (4 * kLanes), lane = i / 4 % kLanes, word = i % 4;
                REQUIRE(words[(unit * 4 + word) * kLanes + lane] == lanes[i]);
            }
        }
    }
}

TEST_CASE("re-laid float weights keep their bits and pad with zeros") {
    test::Rng rng(2);
    const LinearShape shape{WeightFormat::BF16, 45, 0};
    std::vector<uint16_t> elements(size_t{6} * shape.inputs);
    for (uint16_t& element : elements) element = static_cast<uint16_t>(rng.next());
    const LinearPart part{6, std::as_bytes(std::span(elements)), {}, {}, {}};
    constexpr uint32_t kLanes = 4;
    const std::vector<uint32_t> words = kernels::relayCodes(shape, std::span(&part, 1), {0, 6}, kLanes);
    REQUIRE(words.size() == size_t{2} * (64 / 8) * kLanes * 4);
    for (uint32_t row = 0; row < 8; ++row) {
        for (uint32_t k = 0; k < shape.paddedInputs(); ++k) {
            const size_t unit = (size_t{row / kLanes} * shape.units() + k / 8) * kLanes + row % kLanes;
            const uint32_t bits = words[unit * 4 + k % 8 / 2] >> (16 * (k % 2)) & 0xFFFF;
            REQUIRE(bits == (row < 6 && k < shape.inputs ? elements[size_t{row} * shape.inputs + k] : 0u));
        }
    }
    CHECK(kernels::relayParameters(shape, std::span(&part, 1), {0, 6}, kLanes) == std::vector<uint32_t>(16, 0));
}

TEST_CASE("panels respect every limit and cover each row once") {
    const LinearShape shape{WeightFormat::Int4, 4096, 128};
    const uint64_t tileBytes = uint64_t{128} * 8 * 16;
    const auto covers = [&](const kernels::PanelLimits& limits, uint32_t rows, size_t panels) {
        uint32_t next = 0;
        const auto ranges = kernels::splitPanels(shape, rows, 8, limits);
        for (const kernels::PanelRange& range : ranges) {
            CHECK(range.rowBegin == next);
            CHECK(range.rowBegin % 16 == 0);
            const uint64_t tiles = (range.rowCount + 7) / 8;
            CHECK(tiles * tileBytes <= limits.storageBytes);
            CHECK(tiles <= limits.tiles);
            if (limits.texelElements != 0) CHECK(tiles * tileBytes <= limits.texelElements * 16);
            next += range.rowCount;
        }
        CHECK(next == rows);
        CHECK(ranges.size() == panels);
    };
    covers({128u << 20, 0, 65535}, 4096, 1);
    covers({128u << 20, 0, 65535}, 65536, 1);
    covers({128u << 20, 0, 65535}, 65537, 2);
    covers({128u << 20, 0, 100}, 1601, 3);
    covers({128u << 20, 65536, 65535}, 1025, 3);
    covers({2 * tileBytes, 0, 65535}, 33, 3);
    covers({3 * tileBytes, 0, 65535}, 33, 3);
    CHECK_THROWS_AS(kernels::splitPanels(shape, 33, 8, {2 * tileBytes - 1, 0, 65535}), Error);
}

TEST_CASE("the best satisfied variant is chosen") {
    using vk::Capability;
    const kernels::Variant variants[] = {{"base", {}, 0},
                                         {"texel", {Capability::Subgroup, Capability::Texel}, 2},
                                         {"subgroup", {Capability::Subgroup}, 1}};
    CHECK(std::string(kernels::choose(variants, {}).module) == "base");
    CHECK(std::string(kernels::choose(variants, {Capability::Texel}).module) == "base");
    CHECK(std::string(kernels::choose(variants, {Capability::Subgroup, Capability::Dot}).module) == "subgroup");
    CHECK(std::string(kernels::choose(variants, vk::CapabilitySet::all()).module) == "texel");
    CHECK_THROWS_AS(kernels::choose(std::span(variants).subspan(1), {}), Error);
}
