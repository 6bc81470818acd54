#include "kernels/linear_weights.h"

#include "kernels/variant.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kWordsOfUnit = 4;
constexpr uint64_t kUploadBytes = 8u << 20;  // of one re-laid piece, so that a large matrix needs no second copy

// The row of a stack: which part it is in, and where.
struct RowOfStack {
    const LinearPart* part = nullptr;
    uint32_t row = 0;
};

RowOfStack findRow(std::span<const LinearPart> parts, uint32_t row) {
    for (const LinearPart& part : parts) {
        if (row < part.rows) return {&part, row};
        row -= part.rows;
    }
    throw Error(Result::InvalidArgument,
                "weight row " + std::to_string(row) + " is past the end of the stacked linears");
}

// A row of the source as the words of its units, see the header.
void readRow(const LinearShape& shape, const RowOfStack& source, std::span<uint32_t> words) {
    const uint64_t bytes = shape.sourceRowBytes();
    std::fill(words.begin(), words.end(), 0u);
    std::memcpy(words.data(), source.part->codes.data() + source.row * bytes, static_cast<size_t>(bytes));
    if (shape.format == WeightFormat::Int4) {
        for (uint32_t& word : words) word = std::rotl(word, 16) ^ 0x88888888u;
    }
}

// Words of codes or parameters for one tile of R rows.
uint64_t codeWordsOfTile(const LinearShape& shape, uint32_t lanes) {
    return uint64_t{shape.units()} * lanes * kWordsOfUnit;
}
uint64_t parameterWordsOfPair(const LinearShape& shape, uint32_t lanes) {
    return uint64_t{shape.groups() + 1} * lanes * 4;
}

uint32_t checkParts(const LinearShape& shape, std::span<const LinearPart> parts) {
    if (shape.inputs == 0) throw Error(Result::InvalidArgument, "a linear layer needs at least one input");
    const uint32_t size = shape.groupSize;
    if (size != 0 && (!shape.isInteger() || (size != 32 && size != 64 && size != 128))) {
        throw Error(
            Result::InvalidArgument,
            "the group size of weights must be 0, 32, 64 or 128 (0 for float weights), not " + std::to_string(size));
    }
    uint64_t rows = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
        const LinearPart& part = parts[i];
        const uint64_t scales = uint64_t{part.rows} * shape.groups();
        const auto require = [&](bool holds, const char* what) {
            if (!holds) {
                throw Error(Result::InvalidArgument, std::string(what) + " of stacked linear " + std::to_string(i) +
                                                         " do not have the size of its " + std::to_string(part.rows) +
                                                         " rows");
            }
        };
        require(part.codes.size() == part.rows * shape.sourceRowBytes(), "weights");
        require(part.scales.size() == scales, "scales");
        require(part.codeSums.size() == scales, "code sums");
        require(part.bias.empty() || part.bias.size() == part.rows, "biases");
        rows += part.rows;
    }
    if (rows == 0 || rows > std::numeric_limits<int32_t>::max()) {
        throw Error(Result::InvalidArgument, "a linear layer cannot have " + std::to_string(rows) + " outputs");
    }
    return static_cast<uint32_t>(rows);
}

}  // namespace

uint32_t shaderFormat(WeightFormat format) {
    switch (format) {
        case WeightFormat::F32:
            return 0;
        case WeightFormat::F16:
            return 1;
        case WeightFormat::BF16:
            return 2;
        case WeightFormat::Int4:
            return 3;
        case WeightFormat::Int8:
            return 4;
    }
    throw Error(Result::InvalidArgument, "unknown weight format");
}

uint32_t LinearShape::bits() const {
    switch (format) {
        case WeightFormat::Int4:
            return 4;
        case WeightFormat::Int8:
            return 8;
        case WeightFormat::F32:
            return 32;
        case WeightFormat::F16:
        case WeightFormat::BF16:
            break;
    }
    return 16;
}

uint32_t LinearShape::groups() const {
    if (!isInteger()) return 0;
    return groupSize == 0 ? 1 : static_cast<uint32_t>(divideUp(inputs, groupSize));
}

uint64_t LinearShape::sourceRowBytes() const {
    return isInteger() ? uint64_t{paddedInputs()} * bits() / 8 : uint64_t{inputs} * bits() / 8;
}

std::vector<PanelRange> splitPanels(const LinearShape& shape, uint32_t rows, uint32_t lanes,
                                    const PanelLimits& limits) {
    uint64_t tileBytes = codeWordsOfTile(shape, lanes) * 4;
    uint64_t pairBytes = parameterWordsOfPair(shape, lanes) * 4;
    uint64_t storage = limits.storageBytes;
    if (limits.texelElements != 0) storage = std::min(storage, limits.texelElements * 16);
    // An even number, so that a pair of tiles is never cut.
    const uint64_t tiles = std::min({storage / tileBytes, storage / pairBytes * 2, uint64_t{limits.tiles}}) / 2 * 2;
    if (tiles == 0) {
        throw Error(Result::Unsupported, "two tiles of weight rows with " + std::to_string(shape.inputs) +
                                             " inputs exceed the device's buffer range of " + std::to_string(storage) +
                                             " bytes");
    }
    std::vector<PanelRange> panels;
    const uint64_t step = tiles * lanes;
    for (uint64_t begin = 0; begin < rows; begin += step) {
        panels.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(std::min<uint64_t>(step, rows - begin))});
    }
    return panels;
}

bool readsWords(const vk::Device& device, const vk::CapabilitySet& allowed) {
    return weightLanes(device) == device.limits().subgroupSize &&
           allowed.contains({vk::Capability::Subgroup, vk::Capability::Address});
}

WeightOrder integerOrder(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearShape& shape) {
    return shape.format == WeightFormat::Int4 && readsWords(device, allowed) ? WeightOrder::Words : WeightOrder::Lanes;
}

WeightOrder floatOrder(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearShape& shape) {
    return shape.inputs % 4 == 0 && readsWords(device, allowed) ? WeightOrder::Words : WeightOrder::Lanes;
}

std::vector<uint32_t> relayCodes(const LinearShape& shape, std::span<const LinearPart> parts, PanelRange rows,
                                 uint32_t lanes, WeightOrder order) {
    const uint64_t tileWords = codeWordsOfTile(shape, lanes);
    const uint64_t tiles = divideUp(rows.rowCount, lanes);
    const uint32_t units = shape.units();
    std::vector<uint32_t> words(static_cast<size_t>(tiles * tileWords),
                                shape.format == WeightFormat::Int4 ? 0x88888888u : 0u);
    std::vector<uint32_t> row(size_t{units} * kWordsOfUnit);
    for (uint32_t r = 0; r < rows.rowCount; ++r) {
        readRow(shape, findRow(parts, rows.rowBegin + r), row);
        uint32_t* const tile = words.data() + r / lanes * tileWords;
        const LaneWords place(order, r % lanes, lanes);
        for (uint32_t i = 0; i < row.size(); ++i) tile[place(i / kWordsOfUnit, i % kWordsOfUnit)] = row[i];
    }
    return words;
}

std::vector<uint32_t> relayParameters(const LinearShape& shape, std::span<const LinearPart> parts, PanelRange rows,
                                      uint32_t lanes, WeightOrder order) {
    const uint64_t pairWords = parameterWordsOfPair(shape, lanes);
    const uint32_t groups = shape.groups();
    std::vector<uint32_t> words(static_cast<size_t>(divideUp(rows.rowCount, uint64_t{lanes} * 2) * pairWords), 0u);
    for (uint32_t r = 0; r < rows.rowCount; ++r) {
        const RowOfStack source = findRow(parts, rows.rowBegin + r);
        const uint32_t tile = r / lanes;
        uint32_t* const pair = words.data() + tile / 2 * pairWords;
        const LaneWords place(order, r % lanes, lanes);
        const uint32_t word = tile % 2 * 2;
        for (uint32_t group = 0; group < groups; ++group) {
            const size_t from = size_t{source.row} * groups + group;
            pair[place(group, word)] = std::bit_cast<uint32_t>(source.part->scales[from]);
            pair[place(group, word + 1)] = static_cast<uint32_t>(source.part->codeSums[from]);
        }
        if (!source.part->bias.empty()) {
            pair[place(groups, word)] = std::bit_cast<uint32_t>(source.part->bias[source.row]);
        }
    }
    return words;
}

namespace {

PanelLimits panelLimits(const vk::Device& device, bool texel) {
    PanelLimits limits;
    limits.storageBytes = std::min(device.limits().maxStorageRange, device.limits().maxAllocation);
    limits.texelElements = texel ? device.limits().maxTexelElements : 0;
    limits.tiles = device.limits().maxWorkgroupCount[0];
    return limits;
}

// Re-lays and writes a panel in pieces of whole tile pairs, whose words are contiguous in both buffers.
void upload(const LinearShape& shape, std::span<const LinearPart> parts, const WeightPanel& panel, uint32_t lanes,
            WeightOrder order, vk::Uploader& uploader) {
    const uint64_t pairBytes = codeWordsOfTile(shape, lanes) * 4 * 2;
    const uint64_t step = std::max<uint64_t>(kUploadBytes / pairBytes, 1) * lanes * 2;
    uint64_t codesAt = 0;
    uint64_t parametersAt = 0;
    for (uint64_t at = 0; at < panel.rowCount; at += step) {
        const PanelRange piece{panel.rowBegin + static_cast<uint32_t>(at),
                               static_cast<uint32_t>(std::min<uint64_t>(step, panel.rowCount - at))};
        const std::vector<uint32_t> codes = relayCodes(shape, parts, piece, lanes, order);
        const std::vector<uint32_t> parameters = relayParameters(shape, parts, piece, lanes, order);
        uploader.write(panel.codes.part(codesAt, codes.size() * 4), std::span<const uint32_t>(codes));
        uploader.write(panel.parameters.part(parametersAt, parameters.size() * 4),
                       std::span<const uint32_t>(parameters));
        codesAt += codes.size() * 4;
        parametersAt += parameters.size() * 4;
    }
}

}  // namespace

LinearWeights::LinearWeights(vk::Device& device, vk::Arena& arena, vk::Uploader& uploader,
                             const vk::CapabilitySet& allowed, const LinearShape& shape,
                             std::span<const LinearPart> parts, WeightOrder order)
    : shape_(shape), order_(order), outputs_(checkParts(shape, parts)), lanes_(weightLanes(device)) {
    const bool texel = allowed.contains(vk::Capability::Texel) && order == WeightOrder::Lanes;
    for (const PanelRange& range : splitPanels(shape, outputs_, lanes_, panelLimits(device, texel))) {
        WeightPanel panel;
        panel.rowBegin = range.rowBegin;
        panel.rowCount = range.rowCount;
        panel.tiles = static_cast<uint32_t>(divideUp(range.rowCount, lanes_));
        panel.codes = arena.allocate(panel.tiles * codeWordsOfTile(shape, lanes_) * 4);
        panel.parameters = arena.allocate(divideUp(panel.tiles, 2) * parameterWordsOfPair(shape, lanes_) * 4);
        upload(shape, parts, panel, lanes_, order, uploader);
        if (texel) {
            panel.codesTexel.emplace(device, panel.codes);
            panel.parametersTexel.emplace(device, panel.parameters);
        }
        sizeBytes_ += panel.codes.size + panel.parameters.size;
        panels_.push_back(std::move(panel));
    }
}

}  // namespace vulcat::kernels
