#include "kernels/integer_linear.h"

#include "kernels/integer_tiles.h"
#include "kernels/launch.h"

#include "base/checked.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kMostInputs = 132000;  // above, a sum may leave 32 bits

}  // namespace

shaders::IntegerLinearPush linearPush(const vk::BufferView& x, const LinearWeights& weights, const WeightPanel& panel,
                                      const vk::BufferView& y, uint32_t rows, bool accumulate) {
    shaders::IntegerLinearPush push{};
    push.rows = rows;
    push.outputs = weights.outputs();
    push.firstOutput = panel.rowBegin;
    push.panelRows = panel.rowCount;
    push.blocks = blocksOf(weights.shape());
    push.groupBlocks = groupBlocksOf(weights.shape());
    push.groups = weights.shape().groups();
    push.accumulate = accumulate ? 1 : 0;
    push.alignedRows = y.offset % 16 == 0 && weights.outputs() % 4 == 0 && panel.rowBegin % 4 == 0 ? 1 : 0;
    setAddress(x, push.activationsLow, push.activationsHigh);
    setAddress(panel.codes, push.codesLow, push.codesHigh);
    setAddress(panel.parameters, push.parametersLow, push.parametersHigh);
    return push;
}

IntegerLinear::IntegerLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                             const LinearSize& size, uint32_t maxRows, std::span<const LinearTile> tuned,
                             uint32_t splits)
    : device_(device), shape_(size.shape), order_(integerOrder(device, allowed, size.shape)), maxRows_(maxRows) {
    if (!shape_.isInteger() || shape_.inputs == 0 || shape_.inputs >= kMostInputs) {
        throw Error(Result::Unsupported, "integer linear layers need 4 or 8-bit weights and 1 to 131999 inputs, not " +
                                             std::to_string(shape_.inputs));
    }
    for (const LinearTile& wanted : tuned) {
        for (const IntegerTile& item : integerTiles(device, allowed, size, maxRows, wanted.splits)) {
            const LinearTile& tile = item.tile;
            if (tile.module == wanted.module && tile.rows == wanted.rows && tile.tiles == wanted.tiles &&
                tile.form == wanted.form)
                addTile(library, item, wanted);
        }
    }
    if (!tiles_.empty()) return;
    // A tile is of use when there are more rows than the next smaller one takes.
    uint32_t covered = 0;
    for (const IntegerTile& item : integerTiles(device, allowed, size, maxRows, splits)) {
        if (!item.usual) continue;
        if (maxRows > covered) addTile(library, item, item.tile);
        covered = item.tile.rows;
    }
}

std::vector<LinearTile> IntegerLinear::tiles(const vk::Device& device, const vk::CapabilitySet& allowed,
                                             const LinearSize& size, uint32_t maxRows) {
    std::vector<LinearTile> all;
    for (const IntegerTile& item : integerTiles(device, allowed, size, maxRows, 0)) all.push_back(item.tile);
    if (device.info().type == vk::DeviceType::Cpu) return all;
    for (const uint32_t splits : {1u, 4u, 8u, 16u, 32u}) {
        for (const IntegerTile& item : integerTiles(device, allowed, size, maxRows, splits)) {
            // A tile that cannot have so many has fewer, or knows none. Taller ones would take a driver's compiler long.
            if (item.tile.rows == 1 && item.tile.splits == splits) all.push_back(item.tile);
        }
    }
    return all;
}

void IntegerLinear::addTile(vk::PipelineLibrary& library, const IntegerTile& item, const LinearTile& tile) {
    vk::PipelineSpec spec = item.spec;
    spec.module = item.module;
    tiles_.push_back({&library.get(spec), item.tile, item.columns, item.texel});
    tiles_.back().tile.cost = tile.cost;
    tiles_.back().tile.atOnce = tile.atOnce;
    tiles_.back().tile.start = tile.start;
}

const IntegerLinear::Tile& IntegerLinear::tileFor(uint32_t rows) const {
    return *std::min_element(tiles_.begin(), tiles_.end(),
                             [rows](const Tile& a, const Tile& b) { return a.tile.costOf(rows) < b.tile.costOf(rows); });
}

void IntegerLinear::record(vk::Recorder& recorder, const Args& args) const {
    const LinearWeights& weights = args.weights;
    if (!(weights.shape() == shape_) || weights.order() != order_ || args.x.inputs() != shape_.inputs) {
        throw Error(Result::InvalidArgument,
                    "weights and quantised rows must have the shape and order their plan was made for");
    }
    if (args.rows == 0 || args.rows > maxRows_ || args.rows > args.x.rows()) {
        throw Error(Result::InvalidArgument, "cannot multiply " + std::to_string(args.rows) + " rows with a plan for " +
                                                 std::to_string(std::min(maxRows_, args.x.rows())));
    }
    const Tile& tile = tileFor(args.rows);
    const uint32_t height = tile.tile.rows;
    if (tile.texel && (!args.x.texel() || !weights.panels().front().codesTexel)) {
        throw Error(Result::InvalidArgument,
                    "weights and quantised rows must be made with the capabilities of their plan");
    }
    const vk::BufferView y = args.y.part(0, uint64_t{args.rows} * weights.outputs() * sizeof(float));
    const vk::Binding x = tile.texel
                              ? vk::read(*args.x.texel())
                              : vk::read(args.x.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.inputs)));
    const vk::Binding out = args.accumulate ? vk::readWrite(y) : vk::write(y);
    const uint64_t rowsOfDispatch = uint64_t{device_.limits().maxWorkgroupCount[1]} * height;

    for (const WeightPanel& panel : weights.panels()) {
        const vk::Binding codes = tile.texel ? vk::read(*panel.codesTexel) : vk::read(panel.codes);
        const vk::Binding parameters = tile.texel ? vk::read(*panel.parametersTexel) : vk::read(panel.parameters);
        for (uint64_t first = 0; first < args.rows; first += rowsOfDispatch) {
            shaders::IntegerLinearPush push = linearPush(args.x.storage(), weights, panel, y, args.rows, args.accumulate);
            push.firstRow = static_cast<uint32_t>(first);
            const uint64_t rows = std::min(rowsOfDispatch, args.rows - first);
            recorder.dispatch(*tile.pipeline, {x, codes, parameters, out}, push,
                              {static_cast<uint32_t>(divideUp(panel.rowCount, tile.columns)),
                               static_cast<uint32_t>(divideUp(rows, height)), 1},
                              height == 1 ? "integer_gemv" : "integer_gemm");
        }
    }
}

}  // namespace vulcat::kernels
