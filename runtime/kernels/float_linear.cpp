#include "kernels/float_linear.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/float_linear.h"

#include "base/checked.h"

#include <algorithm>
#include <string>

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
// A single-row tile reads the weights once a row, a many-row tile computes all its rows whether they exist or not.
constexpr uint32_t kFewFloatRows = 2;

}  // namespace

FloatLinear::FloatLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                         const LinearShape& shape, uint32_t maxRows)
    : device_(device), shape_(shape), order_(floatOrder(device, allowed, shape)), maxRows_(maxRows) {
    const uint32_t lanes = weightLanes(device);
    const vk::CapabilitySet usable = rowCapabilities(laneCapabilities(device, allowed), shape.inputs);
    const Variant& variant = choose(variantsOf(shape, order_), usable);
    const bool subgroup = variant.required.contains(vk::Capability::Subgroup);
    module_ = variant.module;
    texel_ = variant.required.contains(vk::Capability::Texel);

    const auto tile = [&](uint32_t rows, uint32_t tiles) {
        vk::PipelineSpec spec;
        spec.module = variant.module;
        spec.constants = {lanes, rows, tiles, shaderFormat(shape.format), shape.inputs % 4 == 0};
        if (order_ == WeightOrder::Words) spec.constants.push_back(shape.inputs % kInputsOfBlock == 0);
        spec.pushBytes = sizeof(shaders::FloatLinearPush);
        spec.bindings.assign(4, vk::BindingKind::Storage);
        if (texel_) std::fill_n(spec.bindings.begin(), 2, vk::BindingKind::UniformTexel);
        if (subgroup && device.subgroupSizeControl()) spec.requiredSubgroupSize = lanes;
        return Tile{&library.get(spec), rows, tiles};
    };
    few_ = tile(1, 4);
    if (maxRows > kFewFloatRows) many_ = tile(subgroup && lanes > 4 ? 8 : 4, 4);
}

void FloatLinear::record(vk::Recorder& recorder, const Args& args) const {
    const LinearWeights& weights = args.weights;
    if (!(weights.shape() == shape_) || weights.order() != order_) {
        throw Error(Result::InvalidArgument, "weights must have the shape and order their plan was made for");
    }
    if (args.rows == 0 || args.rows > maxRows_) {
        throw Error(Result::InvalidArgument, "cannot multiply " + std::to_string(args.rows) + " rows with a plan for " +
                                                 std::to_string(maxRows_));
    }
    if (texel_ && !weights.panels().front().codesTexel) {
        throw Error(Result::InvalidArgument, "weights must be made with the capabilities of their plan");
    }
    const Tile& tile = args.rows <= kFewFloatRows ? few_ : many_;
    const vk::BufferView x = floatRows(args.x, args.rows, shape_.inputs);
    const vk::BufferView y = floatRows(args.y, args.rows, weights.outputs());
    const vk::Binding out = args.accumulate ? vk::readWrite(y) : vk::write(y);
    const uint64_t rowsOfDispatch = uint64_t{device_.limits().maxWorkgroupCount[1]} * tile.rows;
    const uint32_t blocks = shape_.paddedInputs() / kInputsOfBlock;

    for (const WeightPanel& panel : weights.panels()) {
        const vk::Binding codes = texel_ ? vk::read(*panel.codesTexel) : vk::read(panel.codes);
        for (uint64_t first = 0; first < args.rows; first += rowsOfDispatch) {
            shaders::FloatLinearPush push{};
            push.rows = args.rows;
            push.firstRow = static_cast<uint32_t>(first);
            push.inputs = shape_.inputs;
            push.outputs = weights.outputs();
            push.firstOutput = panel.rowBegin;
            push.panelRows = panel.rowCount;
            push.blocks = blocks;
            push.groupBlocks = shape_.groupSize == 0 ? blocks : shape_.groupSize / kInputsOfBlock;
            push.groups = shape_.groups();
            push.accumulate = args.accumulate ? 1 : 0;
            setAddress(x, push.inputsLow, push.inputsHigh);
            setAddress(panel.codes, push.weightsLow, push.weightsHigh);
            setAddress(panel.parameters, push.parametersLow, push.parametersHigh);
            const uint64_t rows = std::min(rowsOfDispatch, args.rows - first);
            recorder.dispatch(*tile.pipeline, {vk::read(x), codes, vk::read(panel.parameters), out}, push,
                              {static_cast<uint32_t>(divideUp(panel.tiles, tile.tiles)),
                               static_cast<uint32_t>(divideUp(rows, tile.rows)), 1},
                              tile.rows == 1 ? "float_gemv" : "float_gemm");
        }
    }
}

}  // namespace vulcat::kernels
