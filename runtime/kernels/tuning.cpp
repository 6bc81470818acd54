#include "kernels/tuning.h"

#include "vk/pipeline_cache.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr size_t kMostRecords = 1u << 14;

/// A tile of a size in the blob: plain numbers, in the machine's order, as the blob is only good on the machine it is
/// from. Records of one size follow each other.
struct TileRecord {
    uint32_t format, inputs, groupSize, outputs, input;
    uint32_t rows, tiles, splits;
    double cost, start;
    uint32_t form, unused;
    char module[48];
};
static_assert(std::is_trivially_copyable_v<TileRecord> && sizeof(TileRecord) == 104);

/// Keeps this blob apart from others in the same envelope, and from those whose records had another meaning: a new
/// meaning takes a new number. (80: integer linears only; 81: no form; 82: no start.)
uint64_t contentsId(uint64_t library) {
    constexpr uint64_t kMeaning = 83;
    return (library ^ 0x74756e696e67u) + kMeaning;
}

bool isSane(const TileRecord& record) {
    const bool codes = record.format == static_cast<uint32_t>(WeightFormat::Int4) ||
                       record.format == static_cast<uint32_t>(WeightFormat::Int8);
    const bool floats = record.input == static_cast<uint32_t>(LinearInput::Floats) &&
                        record.format <= static_cast<uint32_t>(WeightFormat::BF16);
    const bool size = floats || (codes && record.input == static_cast<uint32_t>(LinearInput::Codes));
    return size && record.rows > 0 && record.rows <= 1024 && record.tiles <= 1024 && record.splits <= 1024 && record.form <= 16 &&
           record.cost > 0 && record.cost < 1e15 && record.start >= 0 && record.start < 1e15 &&
           std::memchr(record.module, 0, sizeof record.module) != nullptr;
}

}  // namespace

Tuning::Tuning(const vk::DeviceInfo& info, uint64_t library, std::span<const std::byte> blob) {
    const std::span<const std::byte> payload = vk::unwrapPipelineCache(info, contentsId(library), blob);
    tookBlob_ = payload.data() != nullptr;
    if (payload.size() % sizeof(TileRecord) != 0 || payload.size() / sizeof(TileRecord) > kMostRecords) return;
    for (size_t at = 0; at < payload.size(); at += sizeof(TileRecord)) {
        TileRecord record{};
        std::memcpy(&record, payload.data() + at, sizeof record);
        if (!isSane(record)) continue;
        const LinearSize size{{static_cast<WeightFormat>(record.format), record.inputs, record.groupSize},
                              record.outputs,
                              static_cast<LinearInput>(record.input)};
        if (sizes_.empty() || !(sizes_.back().size == size)) sizes_.push_back({size, {}});
        sizes_.back().tiles.push_back({record.module, record.rows, record.cost, record.tiles, record.splits, record.form});
        sizes_.back().tiles.back().start = record.start;
    }
}

std::span<const LinearTile> Tuning::tilesOf(const LinearSize& size) const {
    const auto found = std::find_if(sizes_.begin(), sizes_.end(), [&](const Entry& e) { return e.size == size; });
    return found == sizes_.end() ? std::span<const LinearTile>() : found->tiles;
}

void Tuning::set(const LinearSize& size, std::vector<LinearTile> tiles) {
    std::erase_if(sizes_, [&](const Entry& entry) { return entry.size == size; });
    if (!tiles.empty()) sizes_.push_back({size, std::move(tiles)});
}

std::vector<std::byte> Tuning::blob(const vk::DeviceInfo& info, uint64_t library) const {
    std::vector<std::byte> payload;
    for (const Entry& entry : sizes_) {
        for (const LinearTile& tile : entry.tiles) {
            if (payload.size() / sizeof(TileRecord) == kMostRecords) break;
            const LinearShape& shape = entry.size.shape;
            TileRecord record{};
            record.format = static_cast<uint32_t>(shape.format);
            record.inputs = shape.inputs;
            record.groupSize = shape.groupSize;
            record.outputs = entry.size.outputs;
            record.input = static_cast<uint32_t>(entry.size.input);
            record.rows = tile.rows;
            record.tiles = tile.tiles;
            record.splits = tile.splits;
            record.form = tile.form;
            record.cost = tile.cost;
            record.start = tile.start;
            tile.module.copy(record.module, sizeof record.module - 1);
            const auto* bytes = reinterpret_cast<const std::byte*>(&record);
            payload.insert(payload.end(), bytes, bytes + sizeof record);
        }
    }
    return vk::wrapPipelineCache(info, contentsId(library), payload);
}

}  // namespace vulcat::kernels
