#include "format/packing.h"
#include "format/quantised_matrix.h"

#include "base/error.h"
#include "format/half.h"
#include "format/quantise.h"
#include "support/rng.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

using namespace vulcat;
using namespace vulcat::format;

namespace {

std::vector<unsigned> bytesOf(const std::vector<int8_t>& codes, int bits) {
    std::vector<std::byte> packed(packedRowBytes(codes.size(), bits), std::byte{0xEE});
    packRow(codes, bits, packed);
    std::vector<unsigned> bytes;
    for (const std::byte byte : packed) bytes.push_back(std::to_integer<unsigned>(byte));
    return bytes;
}

}  // namespace

TEST_CASE("golden bytes: byte j of a word holds K-index j low and j+4 high, padding is zero") {
    std::vector<unsigned> four(16, 0);
    four[0] = 0x51;
    four[1] = 0x6E;
    four[2] = 0x73;
    four[3] = 0x8C;
    four[4] = 0x0F;
    CHECK(bytesOf({1, -2, 3, -4, 5, 6, 7, -8, -1}, 4) == four);
    std::vector<unsigned> eight(32, 0);
    eight[0] = 1;
    eight[1] = 0xFE;
    eight[2] = 127;
    eight[3] = 0x81;
    eight[4] = 5;
    CHECK(bytesOf({1, -2, 127, -127, 5}, 8) == eight);
}

TEST_CASE("the masks of the contract recover 16q, and the exclusive or q + 8") {
    const std::vector<int8_t> codes = {-8, -7, -1, 0, 1, 2, 6, 7};
    std::vector<std::byte> packed(packedRowBytes(8, 4));
    packRow(codes, 4, packed);
    uint32_t word = 0;
    std::memcpy(&word, packed.data(), 4);
    for (unsigned j = 0; j < 4; ++j) {
        CHECK(static_cast<int8_t>((word << 4 & 0xF0F0F0F0u) >> 8 * j & 0xFF) == 16 * codes[j]);
        CHECK(static_cast<int8_t>((word & 0xF0F0F0F0u) >> 8 * j & 0xFF) == 16 * codes[j + 4]);
        CHECK(((word ^ 0x88888888u) >> 8 * j & 0xF) == static_cast<unsigned>(codes[j] + 8));
        CHECK(((word ^ 0x88888888u) >> (8 * j + 4) & 0xF) == static_cast<unsigned>(codes[j + 4] + 8));
    }
}

TEST_CASE("unpacking undoes packing for every width up to 100, and group sums add up") {
    test::Rng rng(3);
    for (size_t columns = 1; columns <= 100; ++columns) {
        for (const int bits : {4, 8}) {
            std::vector<int8_t> codes(columns);
            for (int8_t& code : codes) {
                code = static_cast<int8_t>(bits == 4 ? rng.integer(-8, 7) : rng.integer(-128, 127));
            }
            std::vector<std::byte> packed(packedRowBytes(columns, bits));
            packRow(codes, bits, packed);
            std::vector<int8_t> back(columns, 99);
            unpackRow(packed, bits, back);
            REQUIRE(back == codes);
            for (const uint64_t groupSize : {0u, 32u, 64u, 128u}) {
                std::vector<int32_t> sums(groupCount(columns, groupSize));
                sumCodes(codes, groupSize, sums);
                std::vector<int32_t> expected(sums.size(), 0);
                for (size_t k = 0; k < columns; ++k) expected[groupSize == 0 ? 0 : k / groupSize] += codes[k];
                REQUIRE(sums == expected);
            }
        }
    }
}

TEST_CASE("a quantised matrix survives the container; damage to each tensor is found") {
    test::Rng rng(4);
    const test::TempFolder folder;
    const auto path = folder / "model.safetensors";
    for (const bool half : {false, true}) {
        const std::vector<float> weights = rng.gaussians(5 * 70, 0.1);
        const QuantisedMatrix matrix = quantiseWeights(weights, 5, 70, 4, 32, ScaleSearch::Mse, half);
        CHECK(matrix.halfScales == half);
        const auto write = [&](auto change) {
            QuantisedMatrix changed = matrix;
            change(changed);
            SafetensorsWriter writer(path, quantisedMatrixSpecs("p", changed));
            writeQuantisedMatrix(writer, "p", changed);
            writer.finish();
            return TensorStore(folder.path());
        };
        const auto refuses = [&](auto change) {
            const TensorStore store = write(change);
            CHECK_THROWS_AS(readQuantisedMatrix(store, "p", 5, 70, 4, 32), Error);
        };
        const TensorStore store = write([](QuantisedMatrix&) {});
        const QuantisedMatrix back = readQuantisedMatrix(store, "p", 5, 70, 4, 32);
        CHECK(back.codes == matrix.codes);
        CHECK(back.scales == matrix.scales);
        CHECK(back.codeSums == matrix.codeSums);
        CHECK(back.halfScales == half);
        CHECK_THROWS_AS(readQuantisedMatrix(store, "p", 5, 97, 4, 32), Error);
        CHECK_THROWS_AS(readQuantisedMatrix(store, "p", 5, 70, 8, 32), Error);
        CHECK_THROWS_AS(readQuantisedMatrix(store, "p", 5, 70, 4, 64), Error);
        CHECK_THROWS_AS(readQuantisedMatrix(store, "q", 5, 70, 4, 32), Error);
        refuses([](QuantisedMatrix& m) { m.codeSums[3] += 1; });
        refuses([](QuantisedMatrix& m) { m.scales[1] = NAN; });
        refuses([](QuantisedMatrix& m) { m.scales[1] = INFINITY; });
        refuses([](QuantisedMatrix& m) { m.scales[1] = -m.scales[1]; });
        refuses([](QuantisedMatrix& m) { m.columns = 96, m.codes.resize(5 * 96, 1); });
    }
}

TEST_CASE("padding codes that are not zero are found") {
    const test::TempFolder folder;
    QuantisedMatrix wide;
    wide.rows = 1;
    wide.columns = 32;
    wide.codes.assign(32, 1);
    wide.scales = {1.0f};
    wide.codeSums = {20};
    SafetensorsWriter writer(folder / "model.safetensors", quantisedMatrixSpecs("p", wide));
    writeQuantisedMatrix(writer, "p", wide);
    writer.finish();
    CHECK_THROWS_AS(readQuantisedMatrix(TensorStore(folder.path()), "p", 1, 20, 4, 0), Error);
}
