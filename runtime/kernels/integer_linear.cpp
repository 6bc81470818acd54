#include "kernels/integer_linear.h"

#include "kernels/variant.h"

#include "shaders/interface/integer_linear.h"

#include "base/checked.h"

#include <algorithm>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr Variant kVariantsW4[] = {
    {"integer_linear_w4", {}, 0},
    {"integer_linear_w4_subgroup", {vk::Capability::Subgroup}, 1},
    {"integer_linear_w4_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    {"integer_linear_w4_dot", {vk::Capability::Subgroup, vk::Capability::Dot}, 3},
    {"integer_linear_w4_quads", {vk::Capability::Subgroup, vk::Capability::Quads}, 4},
};
constexpr Variant kVariantsW8[] = {
    {"integer_linear_w8", {}, 0},
    {"integer_linear_w8_subgroup", {vk::Capability::Subgroup}, 1},
    {"integer_linear_w8_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    {"integer_linear_w8_dot", {vk::Capability::Subgroup, vk::Capability::Dot}, 3},
};

constexpr uint32_t kBlockInputs = 32;
constexpr uint32_t kMostInputs = 132000;  // above, a sum may leave 32 bits
constexpr uint32_t kTilesOfGroup = 4;     // weight tiles of a workgroup, see shaders/int.cmake

uint32_t blocksOf(const LinearShape& shape) {
    return shape.paddedInputs() / kBlockInputs;
}
uint32_t groupBlocksOf(const LinearShape& shape) {
    return shape.groupSize == 0 ? blocksOf(shape) : std::min(shape.groupSize / kBlockInputs, blocksOf(shape));
}

// A height of tiles in rows of x, and what one costs beside a tile of a single row: taller ones unpack weights once for
// all rows.
struct TileHeight {
    uint32_t rows = 1;
    double cost = 1;
};

// Measured on llvmpipe, and for QUADS on SwiftShader. BASE and SUBGROUP have no registers for tiles of 8.
std::span<const TileHeight> tileHeights(const Variant& variant) {
    static constexpr TileHeight kUsual[] = {{1, 0.96}, {4, 1.68}, {8, 2.64}};
    static constexpr TileHeight kQuads[] = {{1, 1}, {8, 6}};
    if (variant.required.contains(vk::Capability::Quads)) return kQuads;
    const bool tall = variant.required.contains(vk::Capability::Texel) || variant.required.contains(vk::Capability::Dot);
    return std::span(kUsual).first(tall ? 3 : 2);
}

}  // namespace

IntegerLinear::IntegerLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                             const LinearShape& shape, uint32_t maxRows)
    : device_(device), shape_(shape), maxRows_(maxRows) {
    if (!shape.isInteger() || shape.inputs == 0 || shape.inputs >= kMostInputs) {
        throw Error(Result::Unsupported, "integer linear layers need 4 or 8-bit weights and 1 to 131999 inputs, not " +
                                             std::to_string(shape.inputs));
    }
    const uint32_t lanes = weightLanes(device);
    vk::CapabilitySet usable = allowed;
    if (lanes != device.limits().subgroupSize) usable = usable - vk::CapabilitySet{vk::Capability::Subgroup};
    const Variant& variant =
        shape.format == WeightFormat::Int4 ? choose(kVariantsW4, usable) : choose(kVariantsW8, usable);
    module_ = variant.module;
    texel_ = variant.required.contains(vk::Capability::Texel);

    const auto addTile = [&](uint32_t rows, double cost) {
        const std::string module = module_ + "_m" + std::to_string(rows);
        vk::PipelineSpec spec;
        spec.module = module;
        spec.constants = {lanes};
        spec.pushBytes = sizeof(shaders::IntegerLinearPush);
        const vk::BindingKind source = texel_ ? vk::BindingKind::UniformTexel : vk::BindingKind::Storage;
        spec.bindings = {source, source, source, vk::BindingKind::Storage};
        if (variant.required.contains(vk::Capability::Subgroup) && device.subgroupSizeControl()) {
            spec.requiredSubgroupSize = lanes;
        }
        tiles_.push_back({&library.get(spec), rows, cost});
    };
    // A tile is of use when there are more rows than the next smaller one takes.
    uint32_t covered = 0;
    for (const TileHeight& height : tileHeights(variant)) {
        if (maxRows > covered) addTile(height.rows, height.cost);
        covered = height.rows;
    }
}

const IntegerLinear::Tile& IntegerLinear::tileFor(uint32_t rows) const {
    const auto cost = [rows](const Tile& tile) {
        return static_cast<double>(divideUp(rows, tile.rows)) * tile.cost;
    };
    return *std::min_element(tiles_.begin(), tiles_.end(),
                             [&](const Tile& a, const Tile& b) { return cost(a) < cost(b); });
}

void IntegerLinear::record(vk::Recorder& recorder, const Args& args) const {
    const LinearWeights& weights = args.weights;
    if (!(weights.shape() == shape_) || args.x.inputs() != shape_.inputs) {
        throw Error(Result::InvalidArgument, "weights and quantised rows must have the shape their plan was made for");
    }
    if (args.rows == 0 || args.rows > maxRows_ || args.rows > args.x.rows()) {
        throw Error(Result::InvalidArgument, "cannot multiply " + std::to_string(args.rows) + " rows with a plan for " +
                                                 std::to_string(std::min(maxRows_, args.x.rows())));
    }
    if (texel_ && (!args.x.texel() || !weights.panels().front().codesTexel)) {
        throw Error(Result::InvalidArgument,
                    "weights and quantised rows must be made with the capabilities of their plan");
    }
    const Tile& tile = tileFor(args.rows);
    const vk::BufferView y = args.y.part(0, uint64_t{args.rows} * weights.outputs() * sizeof(float));
    const vk::Binding x = texel_
                              ? vk::read(*args.x.texel())
                              : vk::read(args.x.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.inputs)));
    const vk::Binding out = args.accumulate ? vk::readWrite(y) : vk::write(y);
    const uint64_t rowsOfDispatch = uint64_t{device_.limits().maxWorkgroupCount[1]} * tile.rows;

    for (const WeightPanel& panel : weights.panels()) {
        const vk::Binding codes = texel_ ? vk::read(*panel.codesTexel) : vk::read(panel.codes);
        const vk::Binding parameters = texel_ ? vk::read(*panel.parametersTexel) : vk::read(panel.parameters);
        for (uint64_t first = 0; first < args.rows; first += rowsOfDispatch) {
            shaders::IntegerLinearPush push{};
            push.rows = args.rows;
            push.firstRow = static_cast<uint32_t>(first);
            push.outputs = weights.outputs();
            push.firstOutput = panel.rowBegin;
            push.panelRows = panel.rowCount;
            push.blocks = blocksOf(shape_);
            push.groupBlocks = groupBlocksOf(shape_);
            push.groups = shape_.groups();
            push.accumulate = args.accumulate ? 1 : 0;
            const uint64_t rows = std::min(rowsOfDispatch, args.rows - first);
            recorder.dispatch(*tile.pipeline, {x, codes, parameters, out}, push,
                              {static_cast<uint32_t>(divideUp(panel.tiles, kTilesOfGroup)),
                               static_cast<uint32_t>(divideUp(rows, tile.rows)), 1},
                              tile.rows == 1 ? "integer_gemv" : "integer_gemm");
        }
    }
}

}  // namespace vulcat::kernels
