// What the tuner keeps, and its blob: cut, changed or forged it is passed over or holds nothing that could not be.

#include "kernels/tuner.h"
#include "kernels/tuning.h"
#include "vk/pipeline_cache.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace vulcat;
using kernels::LinearSize;
using kernels::LinearTile;
using kernels::Tuning;

namespace {

const LinearSize kSize{{kernels::WeightFormat::Int4, 4096, 128}, 14336};

std::vector<std::string> names(const std::vector<LinearTile>& tiles) {
    std::vector<std::string> result;
    for (const LinearTile& tile : tiles) result.push_back(tile.module + std::to_string(tile.rows));
    return result;
}

}  // namespace

TEST_CASE("the tuner keeps what is fastest for some number of rows") {
    const std::vector<LinearTile> measured = {{"a", 1, 10}, {"a", 4, 20}, {"b", 1, 12}, {"b", 8, 36}, {"c", 8, 50}};
    using Names = std::vector<std::string>;
    CHECK(names(kernels::worthKeeping(measured, 1)) == Names{"a1"});
    CHECK(names(kernels::worthKeeping(measured, 4)) == Names{"a1", "a4"});
    CHECK(names(kernels::worthKeeping(measured, 512)) == Names{"a1", "a4", "b8"});
    CHECK(kernels::worthKeeping({{"a", 8, 5}, {"b", 1, 9}}, 512).size() == 1);
    // A tall tile of which a device runs many passes at once, or whose first takes long, is fast on many rows only.
    const LinearTile alone{"a", 1, 8}, sideBySide{"b", 16, 1, 0, 0, 0, 32}, slowStart{"b", 16, 1, 0, 0, 0, 1, 31};
    for (const LinearTile& tall : {sideBySide, slowStart}) {
        CHECK(names(kernels::worthKeeping({alone, tall}, 1)) == Names{"a1"});
        CHECK(names(kernels::worthKeeping({alone, tall}, 4)) == Names{"a1"});
        CHECK(names(kernels::worthKeeping({alone, tall}, 5)) == Names{"a1", "b16"});
    }
    CHECK(sideBySide.costOf(512) == 32);
    CHECK(slowStart.costOf(512) == 63);
}

TEST_CASE("a tuning comes back from its blob") {
    vk::DeviceInfo info{};
    info.vendorId = 7;
    Tuning tuning;
    tuning.set(kSize, {{"first", 1, 3.5}, {"second", 8, 7}});
    tuning.set({{kernels::WeightFormat::Int8, 64, 0}, 64}, {{"third", 4, 1}});
    tuning.set({{kernels::WeightFormat::Int8, 64, 0}, 64}, {{"fourth", 4, 1}});
    const LinearSize floats{kSize.shape, kSize.outputs, kernels::LinearInput::Floats};
    const LinearSize head{{kernels::WeightFormat::BF16, 64, 0}, 64, kernels::LinearInput::Floats};
    tuning.set(floats, {{"fifth", 1, 2, 4, 16}});
    const LinearTile sixth{"sixth", 8, 2, 2, 0, 3, 1, 7.5};
    tuning.set(head, {sixth});
    const std::vector<std::byte> blob = tuning.blob(info, 3);
    const Tuning again(info, 3, blob);
    REQUIRE(again.tilesOf(kSize).size() == 2);
    CHECK(again.tilesOf(kSize)[1] == LinearTile{"second", 8, 7});
    REQUIRE(again.tilesOf({{kernels::WeightFormat::Int8, 64, 0}, 64}).size() == 1);
    CHECK(again.tilesOf({{kernels::WeightFormat::Int8, 64, 0}, 64})[0].module == "fourth");
    CHECK(again.tilesOf({{kernels::WeightFormat::Int8, 64, 0}, 65}).empty());
    REQUIRE(again.tilesOf(floats).size() == 1);
    CHECK(again.tilesOf(floats)[0] == LinearTile{"fifth", 1, 2, 4, 16});
    REQUIRE(again.tilesOf(head).size() == 1);
    CHECK(again.tilesOf(head)[0] == sixth);
    CHECK(again.blob(info, 3) == blob);
    CHECK_FALSE(Tuning(info, 4, blob).tookBlob());
    info.driverVersion = 1;
    CHECK_FALSE(Tuning(info, 3, blob).tookBlob());
}

TEST_CASE("a tuning blob that is cut, changed or forged does no harm") {
    const vk::DeviceInfo info{};
    Tuning tuning;
    tuning.set(kSize, {{"first", 1, 3.5}, {"second", 8, 7}});
    const std::vector<std::byte> blob = tuning.blob(info, 3);
    for (size_t i = 0; i < blob.size(); ++i) {
        std::vector<std::byte> damaged = blob;
        damaged[i] ^= static_cast<std::byte>(1u << i % 8);
        CHECK_FALSE(Tuning(info, 3, damaged).tookBlob());
        CHECK_FALSE(Tuning(info, 3, std::span(blob).first(i)).tookBlob());
    }
    // The envelope's hash of modules is that of this kind of blob: take it from the blob itself.
    constexpr size_t kHashOffset = 40;
    uint64_t id = 0;
    std::memcpy(&id, blob.data() + kHashOffset, sizeof id);
    const std::span<const std::byte> payload = vk::unwrapPipelineCache(info, id, blob);
    REQUIRE(payload.size() > 8);
    const double wrong[] = {0, -1, std::numeric_limits<double>::infinity(), std::nan(""), 1e300};
    for (size_t at = 0; at + 8 <= payload.size(); at += 4) {
        for (const double value : wrong) {
            std::vector<std::byte> forged(payload.begin(), payload.end());
            std::memcpy(forged.data() + at, &value, sizeof value);
            const Tuning taken(info, 3, vk::wrapPipelineCache(info, id, forged));
            CHECK(taken.tookBlob());
            for (const LinearTile& tile : taken.tilesOf(kSize)) {
                CHECK((tile.rows > 0 && tile.cost > 0 && tile.cost < 1e15 && tile.module.size() < 48));
                CHECK((tile.start >= 0 && tile.start < 1e15));
            }
        }
    }
    // Weights that no integer linear has, and an input that there is not.
    constexpr size_t kInputOffset = 16;
    for (const auto& [at, number] : {std::pair<size_t, uint32_t>{0, 2}, {0, 99}, {kInputOffset, 2}}) {
        std::vector<std::byte> forged(payload.begin(), payload.end());
        std::memcpy(forged.data() + at, &number, sizeof number);
        CHECK(Tuning(info, 3, vk::wrapPipelineCache(info, id, forged)).tilesOf(kSize).size() == 1);
    }
    std::vector<std::byte> unended(payload.begin(), payload.end());
    for (size_t i = payload.size() - 48; i < payload.size(); ++i) unended[i] = std::byte{'a'};
    CHECK(Tuning(info, 3, vk::wrapPipelineCache(info, id, unended)).tilesOf(kSize).size() == 1);
}

TEST_CASE("a tuning blob from before float linears were tuned is passed over") {
    const vk::DeviceInfo info{};
    struct OldRecord {
        uint32_t format = 0, inputs = 4096, groupSize = 128, outputs = 14336;
        uint32_t rows = 1, unused = 0;
        double cost = 1;
        char module[48] = "integer_linear_w4";
    };
    static_assert(sizeof(OldRecord) == 80);
    const std::vector<OldRecord> records(13);  // together a whole number of today's
    const uint64_t oldId = (3 ^ 0x74756e696e67u) + sizeof(OldRecord);
    const std::vector<std::byte> blob = vk::wrapPipelineCache(info, oldId, std::as_bytes(std::span(records)));
    const Tuning tuning(info, 3, blob);
    CHECK_FALSE(tuning.tookBlob());
    CHECK(tuning.empty());
}
