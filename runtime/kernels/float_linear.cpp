#include "kernels/float_linear.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/float_linear.h"

#include "base/checked.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr Variant kVariantsFloat[] = {
    {"float_linear", {}, 0},
    {"float_linear_subgroup", {vk::Capability::Subgroup}, 1},
    {"float_linear_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
};
constexpr Variant kVariantsCodes[] = {
    {"float_linear_codes", {}, 0},
    {"float_linear_codes_subgroup", {vk::Capability::Subgroup}, 1},
    {"float_linear_codes_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
};
constexpr Variant kVariantsGemv[] = {
    {"float_gemv", {}, 0},
    {"float_gemv_scalars", {vk::Capability::Subgroup, vk::Capability::Scalars}, 1},
};
constexpr Variant kVariantsFloatWords[] = {
    {"float_linear_address", {vk::Capability::Subgroup, vk::Capability::Address}, 0},
};
constexpr Variant kVariantsCodesWords[] = {
    {"float_linear_codes_address", {vk::Capability::Subgroup, vk::Capability::Address}, 0},
};

/// What can read weights that lie in this order.
std::span<const Variant> variantsOf(const LinearShape& shape, WeightOrder order) {
    if (order == WeightOrder::Words) return shape.isInteger() ? kVariantsCodesWords : kVariantsFloatWords;
    return shape.isInteger() ? std::span<const Variant>(kVariantsCodes) : std::span(kVariantsFloat);
}

constexpr uint32_t kInputsOfBlock = 32;
// A single-row tile reads the weights once a row, a many-row tile computes all its rows whether they exist or not: by
// these costs it pays from three rows on.
constexpr uint32_t kFewFloatRows = 2;
constexpr double kCostOfMany = 2.4;
// On an H100 so many workgroups of the many-row tile run side by side: fewer of them take as long, and float_gemv less.
constexpr double kCostOfManyOnGpu = 1.6;
constexpr double kWorkgroupsOfMany = 800;
constexpr uint32_t kTilesOfFloatGroup = 4;

constexpr std::string_view kGemv = "float_gemv";  // see shaders/float_gemv.comp
constexpr uint32_t kMostTilesOfGemv = 4;
constexpr uint32_t kMostGemvSplits = 32;
constexpr uint32_t kMultiprocessors = 128;     // of a large GPU
constexpr uint32_t kSubgroupsToKeepBusy = 16;  // each of them
constexpr uint32_t kManyWorkgroups = 4 * kMultiprocessors;
constexpr uint32_t kRoundOfCodes = 4;  // blocks: a scale group of any size divides it
constexpr uint32_t kUnitsOfRound = 8;  // 16-byte loads of an invocation, of float weights

uint32_t floatBlocks(const LinearShape& shape) {
    return shape.paddedInputs() / kInputsOfBlock;
}
uint32_t floatGroupBlocks(const LinearShape& shape) {
    return shape.groupSize == 0 ? floatBlocks(shape) : shape.groupSize / kInputsOfBlock;
}

/// Blocks of K whose weights an invocation of float_gemv loads at once.
uint32_t roundOf(const LinearShape& shape, uint32_t tiles) {
    const uint32_t unitsOfBlock = shape.units() / floatBlocks(shape);
    return shape.isInteger() ? kRoundOfCodes : std::max(kUnitsOfRound / (unitsOfBlock * tiles), 1u);
}

/// What of `allowed` the linears of this device can use.
vk::CapabilitySet usableForFloats(const vk::Device& device, const vk::CapabilitySet& allowed,
                                  const LinearShape& shape) {
    return rowCapabilities(laneCapabilities(device, allowed), shape.inputs);
}

/// Whether a variant has registers for tiles of eight rows.
bool isTall(const vk::Device& device, const Variant& variant) {
    return variant.required.contains(vk::Capability::Subgroup) && weightLanes(device) > 4;
}

/// Teams of a workgroup of float_gemv at most: each has a round to do.
uint32_t mostSplits(const vk::Device& device, const LinearShape& shape, uint32_t tiles) {
    const vk::Limits& limits = device.limits();
    const uint32_t lanes = weightLanes(device);
    const uint64_t rounds = divideUp(floatBlocks(shape), roundOf(shape, tiles));
    return static_cast<uint32_t>(
        std::min<uint64_t>({rounds, std::min(limits.maxWorkgroupInvocations, limits.maxWorkgroupSize[0]) / lanes,
                            limits.maxSharedBytes / (tiles * lanes * sizeof(float))}));
}

}  // namespace

FloatLinear::FloatLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                         const LinearSize& size, uint32_t maxRows, std::span<const LinearTile> tuned)
    : device_(device), size_(size), order_(floatOrder(device, allowed, size.shape)), maxRows_(maxRows) {
    const vk::CapabilitySet usable = usableForFloats(device, allowed, size.shape);
    for (const LinearTile& tile : tuned) addTile(library, usable, tile);
    if (!tiles_.empty()) return;
    const Variant& variant = choose(variantsOf(size.shape, order_), usable);
    const bool shares = order_ == WeightOrder::Lanes && device.info().type != vk::DeviceType::Cpu;
    addTile(library, usable, shares ? gpuTile(device, size) : LinearTile{variant.module, 1, 1, kTilesOfFloatGroup});
    if (maxRows <= kFewFloatRows) return;
    const uint32_t height = isTall(device, variant) ? 8u : 4u;
    addTile(library, usable, {variant.module, height, shares ? kCostOfManyOnGpu : kCostOfMany, kTilesOfFloatGroup});
    const double workgroups = static_cast<double>(divideUp(size.outputs, uint64_t{kTilesOfFloatGroup} * weightLanes(device)));
    if (shares) tiles_.back().shape.atOnce = std::max(kWorkgroupsOfMany / workgroups, 1.0);
}

std::vector<LinearTile> FloatLinear::tiles(const vk::Device& device, const vk::CapabilitySet& allowed,
                                           const LinearSize& size) {
    const bool cpu = device.info().type == vk::DeviceType::Cpu;
    const vk::CapabilitySet usable = usableForFloats(device, allowed, size.shape);
    const WeightOrder order = floatOrder(device, allowed, size.shape);
    std::vector<LinearTile> all;
    for (const Variant& variant : variantsOf(size.shape, order)) {
        if (!usable.contains(variant.required)) continue;
        for (const uint32_t rows : {1u, 4u, 8u}) {
            if (rows == 8 && !isTall(device, variant)) continue;
            if (!cpu && rows > 1) all.push_back({variant.module, rows, 1, kTilesOfFloatGroup / 2});
            all.push_back({variant.module, rows, 1, kTilesOfFloatGroup});
        }
    }
    if (order != WeightOrder::Lanes) return all;
    for (uint32_t tiles = cpu ? kMostTilesOfGemv : 1; tiles <= kMostTilesOfGemv; tiles *= 2) {
        const uint32_t most = cpu ? 1 : mostSplits(device, size.shape, tiles);
        // A GPU's compiler takes half a second for each: only what may be the fastest there.
        for (uint32_t splits = std::min(cpu ? 1u : 4u, most); splits <= most; splits *= 2) {
            all.push_back({std::string(kGemv), 1, 1, tiles, splits});
        }
    }
    return all;
}

LinearTile FloatLinear::gpuTile(const vk::Device& device, const LinearSize& size) {
    const uint64_t weightTiles = divideUp(size.outputs, weightLanes(device));
    LinearTile tile{std::string(kGemv), 1, 1};
    // Of two tiles where there are workgroups enough: those read x half as often.
    tile.tiles = weightTiles / 2 >= kManyWorkgroups ? 2 : 1;
    const uint64_t wanted = divideUp(kMultiprocessors * kSubgroupsToKeepBusy, divideUp(weightTiles, tile.tiles));
    const uint64_t most = mostSplits(device, size.shape, tile.tiles);
    tile.splits = static_cast<uint32_t>(std::min({wanted, most, uint64_t{kMostGemvSplits}}));
    return tile;
}

void FloatLinear::addTile(vk::PipelineLibrary& library, const vk::CapabilitySet& usable, const LinearTile& shape) {
    if (shape.module == kGemv) return addGemv(library, usable, shape);
    const bool known =
        (shape.rows == 1 || shape.rows == 4 || shape.rows == 8) && (shape.tiles == 2 || shape.tiles == 4);
    for (const Variant& variant : variantsOf(size_.shape, order_)) {
        if (!known || shape.module != variant.module || !usable.contains(variant.required)) continue;
        Tile tile{shape};
        tile.texel = variant.required.contains(vk::Capability::Texel);
        const uint32_t lanes = weightLanes(device_), inputs = size_.shape.inputs;
        vk::PipelineSpec spec;
        spec.module = variant.module;
        spec.constants = {lanes, shape.rows, shape.tiles, shaderFormat(size_.shape.format), inputs % 4 == 0};
        if (order_ == WeightOrder::Words) spec.constants.push_back(inputs % kInputsOfBlock == 0);
        spec.pushBytes = sizeof(shaders::FloatLinearPush);
        spec.bindings.assign(4, vk::BindingKind::Storage);
        if (tile.texel) std::fill_n(spec.bindings.begin(), 2, vk::BindingKind::UniformTexel);
        const bool subgroup = variant.required.contains(vk::Capability::Subgroup);
        if (subgroup && device_.subgroupSizeControl()) spec.requiredSubgroupSize = lanes;
        tile.pipeline = &library.get(spec);
        tiles_.push_back(std::move(tile));
    }
}

void FloatLinear::addGemv(vk::PipelineLibrary& library, const vk::CapabilitySet& usable, const LinearTile& shape) {
    const LinearShape& weights = size_.shape;
    const bool runs = order_ == WeightOrder::Lanes && shape.rows == 1 && shape.tiles > 0 &&
                      shape.tiles <= kMostTilesOfGemv && shape.splits > 0 &&
                      shape.splits <= mostSplits(device_, weights, shape.tiles);
    if (!runs) return;
    const uint32_t round = roundOf(weights, shape.tiles);
    vk::PipelineSpec spec;
    const Variant& variant = choose(kVariantsGemv, usable);
    spec.module = variant.module;
    spec.constants = {weightLanes(device_) * shape.splits,
                      shape.splits,
                      shape.tiles,
                      round,
                      weights.groups() > 1 ? floatGroupBlocks(weights) : 0,
                      shaderFormat(weights.format),
                      weights.inputs % 4 == 0,
                      weights.inputs % (kInputsOfBlock * round) == 0};
    spec.pushBytes = sizeof(shaders::FloatLinearPush);
    spec.bindings.assign(4, vk::BindingKind::Storage);
    if (variant.required.contains(vk::Capability::Scalars) && device_.subgroupSizeControl())
        spec.requiredSubgroupSize = weightLanes(device_);
    tiles_.push_back({shape, &library.get(spec), false});
}

const FloatLinear::Tile& FloatLinear::tileFor(uint32_t rows) const {
    return *std::min_element(tiles_.begin(), tiles_.end(),
                             [rows](const Tile& a, const Tile& b) { return a.shape.costOf(rows) < b.shape.costOf(rows); });
}

void FloatLinear::record(vk::Recorder& recorder, const Args& args) const {
    const LinearWeights& weights = args.weights;
    if (!(weights.shape() == size_.shape) || weights.outputs() != size_.outputs || weights.order() != order_) {
        throw Error(Result::InvalidArgument, "weights must have the size and order their plan was made for");
    }
    if (args.rows == 0 || args.rows > maxRows_) {
        throw Error(Result::InvalidArgument, "cannot multiply " + std::to_string(args.rows) + " rows with a plan for " +
                                                 std::to_string(maxRows_));
    }
    const Tile& tile = tileFor(args.rows);
    if (tile.texel && !weights.panels().front().codesTexel) {
        throw Error(Result::InvalidArgument, "weights must be made with the capabilities of their plan");
    }
    const vk::BufferView x = floatRows(args.x, args.rows, size_.shape.inputs);
    const vk::BufferView y = floatRows(args.y, args.rows, weights.outputs());
    const vk::Binding out = args.accumulate ? vk::readWrite(y) : vk::write(y);
    const uint64_t rowsOfDispatch = uint64_t{device_.limits().maxWorkgroupCount[1]} * tile.shape.rows;

    for (const WeightPanel& panel : weights.panels()) {
        const vk::Binding codes = tile.texel ? vk::read(*panel.codesTexel) : vk::read(panel.codes);
        for (uint64_t first = 0; first < args.rows; first += rowsOfDispatch) {
            shaders::FloatLinearPush push{};
            push.rows = args.rows;
            push.firstRow = static_cast<uint32_t>(first);
            push.inputs = size_.shape.inputs;
            push.outputs = weights.outputs();
            push.firstOutput = panel.rowBegin;
            push.panelRows = panel.rowCount;
            push.blocks = floatBlocks(size_.shape);
            push.groupBlocks = floatGroupBlocks(size_.shape);
            push.groups = size_.shape.groups();
            push.accumulate = args.accumulate ? 1 : 0;
            setAddress(x, push.inputsLow, push.inputsHigh);
            setAddress(panel.codes, push.weightsLow, push.weightsHigh);
            setAddress(panel.parameters, push.parametersLow, push.parametersHigh);
            const uint64_t rows = std::min(rowsOfDispatch, args.rows - first);
            recorder.dispatch(*tile.pipeline, {vk::read(x), codes, vk::read(panel.parameters), out}, push,
                              {static_cast<uint32_t>(divideUp(panel.tiles, tile.shape.tiles)),
                               static_cast<uint32_t>(divideUp(rows, tile.shape.rows)), 1},
                              tile.shape.rows == 1 ? "float_gemv" : "float_gemm");
        }
    }
}

}  // namespace vulcat::kernels
