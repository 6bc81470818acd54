// The entropy coder: exact round trips, cost near the model's entropy, random access, and bytes from strangers.
#include "format/rans.h"

#include "round_support.h"

#include "support/rng.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace {

using vulcat::format::CodedMatrix;
using vulcat::format::encodeMatrix;
using vulcat::format::kMaxCode;
using vulcat::Error;
using vulcat::Result;
using vulcat::test::Rng;

/// Rounded Gaussians, columns with widths spread evenly in octaves over low..high.
std::vector<int32_t> gaussianCodes(Rng& rng, uint32_t rows, uint32_t columns, double low, double high) {
    std::vector<double> sigma(columns);
    for (double& s : sigma) s = std::exp(rng.uniform(std::log(low), std::log(high)));
    std::vector<int32_t> codes(size_t{rows} * columns);
    for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<int32_t>(
            std::clamp(std::nearbyint(rng.gaussian() * sigma[i % columns]), -double{kMaxCode}, double{kMaxCode}));
    return codes;
}

template <typename Code>
std::vector<Code> decodeAll(const CodedMatrix& coded) {
    std::vector<Code> codes(size_t{coded.rows()} * coded.columns());
    size_t at = 0;
    for (uint32_t chunk = 0; chunk < coded.chunks(); ++chunk) {
        const size_t count = size_t{coded.chunkRows(chunk)} * coded.columns();
        coded.decodeChunk(chunk, std::span<Code>(codes).subspan(at, count));
        at += count;
    }
    return codes;
}

void checkRoundTrip(const std::vector<int32_t>& codes, uint32_t rows, uint32_t columns, uint32_t rowsPerChunk) {
    const std::vector<std::byte> bytes = encodeMatrix(codes, rows, columns, vulcat::test::columnModels(), rowsPerChunk);
    const CodedMatrix coded(bytes, vulcat::test::columnModels());
    CHECK(coded.rows() == rows);
    CHECK(coded.columns() == columns);
    CHECK(decodeAll<int32_t>(coded) == codes);
}

TEST_CASE("codes of every width and shape come back") {
    Rng rng(1);
    for (const uint32_t rows : {0u, 1u, 2u, 3u, 4u, 5u, 17u, 64u})
        for (const uint32_t columns : {0u, 1u, 3u, 33u})
            for (const uint32_t rowsPerChunk : {0u, 1u, 5u, 16u})
                checkRoundTrip(gaussianCodes(rng, rows, columns, 0.02, 20), rows, columns, rowsPerChunk);
    for (const double sigma : {0.05, 0.1, 0.3, 1.0, 5.0, 11.3, 12.0, 60.0, 700.0, 9000.0})
        checkRoundTrip(gaussianCodes(rng, 400, 5, sigma, sigma * 1.01), 400, 5, 0);
}

TEST_CASE("codes no Gaussian would give come back too") {
    Rng rng(2);
    checkRoundTrip(std::vector<int32_t>(1000, 0), 100, 10, 0);
    checkRoundTrip(std::vector<int32_t>(1000, kMaxCode), 100, 10, 7);
    checkRoundTrip(std::vector<int32_t>(1000, -kMaxCode), 100, 10, 7);
    checkRoundTrip(std::vector<int32_t>(1000, 1), 100, 10, 0);
    std::vector<int32_t> lonely(5000, 0);
    lonely[77] = -kMaxCode;
    lonely[4001] = 200;
    checkRoundTrip(lonely, 500, 10, 0);
    std::vector<int32_t> heavy(6000);
    for (int32_t& code : heavy) {
        const double tail = std::clamp(std::pow(rng.gaussian(), 5) * 3, -double{kMaxCode}, double{kMaxCode});
        code = static_cast<int32_t>(tail);
    }
    checkRoundTrip(heavy, 600, 10, 0);
}

TEST_CASE("a chunk decodes alone, into int8 too") {
    Rng rng(3);
    const std::vector<int32_t> codes = gaussianCodes(rng, 100, 21, 0.2, 20);
    const std::vector<std::byte> bytes = encodeMatrix(codes, 100, 21, vulcat::test::columnModels(), 16);
    const CodedMatrix coded(bytes, vulcat::test::columnModels());
    REQUIRE(coded.chunks() == 7);
    for (const uint32_t chunk : {6u, 2u, 0u, 3u}) {
        std::vector<int8_t> out(size_t{coded.chunkRows(chunk)} * 21);
        coded.decodeChunk(chunk, out);
        CHECK(std::equal(out.begin(), out.end(), codes.begin() + int64_t{chunk} * 16 * 21));
    }
    std::vector<int8_t> wrong(5);
    CHECK_THROWS_AS(coded.decodeChunk(0, wrong), Error);
    CHECK_THROWS_AS(coded.decodeChunk(7, wrong), Error);
}

/// Bits of a discretised Gaussian on the quarter-octave grid with exact probabilities, the best width of each column.
double idealBits(const std::vector<int32_t>& codes, uint32_t rows, uint32_t columns) {
    double total = 0;
    for (uint32_t c = 0; c < columns; ++c) {
        double squares = 0;
        int32_t widest = 0;
        for (uint32_t r = 0; r < rows; ++r) {
            const int32_t code = codes[size_t{r} * columns + c];
            squares += static_cast<double>(code) * code;
            widest = std::max(widest, std::abs(code));
        }
        std::vector<double> counts(static_cast<size_t>(widest) + 1);
        for (uint32_t r = 0; r < rows; ++r) ++counts[static_cast<size_t>(std::abs(codes[size_t{r} * columns + c]))];
        const int middle = static_cast<int>(std::lround(4 * std::log2(std::sqrt(squares / rows))));
        double best = 1e300;
        for (int quarter = middle - 4; quarter <= middle + 4; ++quarter) {
            const double root = std::exp2(quarter / 4.0) * std::sqrt(2.0);
            double bits = 0;
            for (int32_t code = 0; code <= widest; ++code) {
                const double p = 0.5 * (std::erfc((code - 0.5) / root) - std::erfc((code + 0.5) / root));
                bits -= counts[static_cast<size_t>(code)] * std::log2(std::max(p, 1e-12));
            }
            best = std::min(best, bits);
        }
        total += best;
    }
    return total;
}

TEST_CASE("coded bytes with all side information are within 0.02 bit a weight of the model's entropy") {
    Rng rng(4);
    constexpr uint32_t kRows = 4096;
    constexpr uint32_t kColumns = 2048;
    for (const double sigma : {1.0, 16.0}) {
        const std::vector<int32_t> codes = gaussianCodes(rng, kRows, kColumns, 0.5 * sigma, 2 * sigma);
        const std::vector<std::byte> bytes = encodeMatrix(codes, kRows, kColumns, vulcat::test::columnModels());
        const double weights = double{kRows} * kColumns;
        // bf16 scales of rows and columns belong to the side information of the whole.
        const double scales = 16.0 * (kRows + kColumns) / weights;
        const double coded = 8.0 * static_cast<double>(bytes.size()) / weights;
        const double ideal = idealBits(codes, kRows, kColumns) / weights;
        MESSAGE("sigma " << sigma << ": " << coded << " bit a weight coded, " << ideal << " ideal, " << coded - ideal
                         << " more; scales " << scales);
        CHECK(coded - ideal + scales <= 0.02);
    }
}

TEST_CASE("the model's tables are the same on every machine") {
    // FNV-1a of the bytes of one fixed matrix: a change of tables or layout would make old files unreadable.
    Rng rng(5);
    std::vector<int32_t> codes(64 * 60);
    for (size_t i = 0; i < codes.size(); ++i) {
        const int32_t width = 1 + static_cast<int32_t>(i % 60) * static_cast<int32_t>(i % 60);
        codes[i] = static_cast<int32_t>(rng.integer(-width, width) + rng.integer(-width, width)) / 4;
    }
    uint64_t hash = 1469598103934665603u;
    for (const std::byte byte : encodeMatrix(codes, 64, 60, vulcat::test::columnModels(), 32))
        hash = (hash ^ std::to_integer<uint64_t>(byte)) * 1099511628211u;
    CHECK(hash == 4223702643254054842u);
}

/// Decodes everything from an allocation of just this size; true when it was accepted.
bool accepted(std::span<const std::byte> bytes) {
    const std::unique_ptr<std::byte[]> exact(new std::byte[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    try {
        const CodedMatrix coded({exact.get(), bytes.size()}, vulcat::test::columnModels());
        // What a loader does: it knows the shape and allocates for that alone.
        if (coded.rows() != 37 || coded.columns() != 12) return false;
        decodeAll<int8_t>(coded);
        return true;
    } catch (const Error& error) {
        CHECK((error.what()[0] != 0));
        return false;
    }
}

TEST_CASE("truncated, altered and invented bytes are refused or decoded, never more") {
    Rng rng(6);
    const std::vector<int32_t> codes = gaussianCodes(rng, 37, 12, 0.3, 20);
    const std::vector<std::byte> bytes = encodeMatrix(codes, 37, 12, vulcat::test::columnModels(), 8);
    REQUIRE(accepted(bytes));
    for (size_t length = 0; length < bytes.size(); ++length) CHECK_FALSE(accepted({bytes.data(), length}));
    std::vector<std::byte> longer = bytes;
    longer.push_back(std::byte{0});
    CHECK_FALSE(accepted(longer));
    int missed = 0;
    int tried = 0;
    for (size_t at = 0; at < bytes.size(); ++at)
        for (const unsigned flip : {1u, 0x80u, 0xFFu}) {
            std::vector<std::byte> altered = bytes;
            altered[at] ^= static_cast<std::byte>(flip);
            missed += accepted(altered) ? 1 : 0;
            ++tried;
        }
    // Plain bits of wide columns have no redundancy, and padding carries nothing; all else shows in the final states.
    MESSAGE(missed << " of " << tried << " altered files were accepted");
    CHECK(missed <= tried / 25);
    for (int i = 0; i < 2000; ++i) {
        std::vector<std::byte> noise(bytes.begin(), bytes.begin() + 24 + 12 + 20);
        for (size_t k = static_cast<size_t>(rng.integer(20, 60)); k > 0; --k)
            noise.push_back(static_cast<std::byte>(rng.next()));
        for (size_t k = 24; k < noise.size(); ++k)
            if (rng.uniform() < 0.3) noise[k] = static_cast<std::byte>(rng.integer(0, 80));
        accepted(noise);
    }
}

TEST_CASE("codes that cannot be coded are refused") {
    const std::vector<int32_t> wide{kMaxCode + 1, 0};
    CHECK_THROWS_AS(encodeMatrix(wide, 2, 1, vulcat::test::columnModels()), Error);
    CHECK_THROWS_AS(encodeMatrix(wide, 3, 1, vulcat::test::columnModels()), Error);
}

}  // namespace
