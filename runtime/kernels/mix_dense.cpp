#include "kernels/mix_dense.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kOutputs = 8;  // i an invocation computes

constexpr Variant kMixDenseVariants[] = {
    {"mix_dense", {}, 0},
    {"mix_dense_texel", {vk::Capability::Texel}, 1},
};

const vk::Pipeline* pipelineFor(vk::PipelineLibrary& library, const Variant& variant, uint32_t localSize,
                                uint32_t rows, bool quads) {
    vk::PipelineSpec spec;
    spec.module = variant.module;
    spec.constants = {localSize, rows, quads};
    spec.pushBytes = sizeof(shaders::MixDensePush);
    spec.bindings.assign(3, vk::BindingKind::Storage);
    if (variant.required.contains(vk::Capability::Texel)) {
        std::fill_n(spec.bindings.begin(), 2, vk::BindingKind::UniformTexel);
    }
    return &library.get(spec);
}

}  // namespace

MixDense::MixDense(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width,
                   uint32_t order, uint32_t stride)
    : device_(device), width_(width), order_(order), stride_(stride), localSize_(defaultLocalSize(device)) {
    if (order == 0 || stride == 0 || width == 0 || width % (uint64_t{order} * stride) != 0) {
        throw Error(Result::InvalidArgument, "a dense mix of order " + std::to_string(order) + " and stride " +
                                                 std::to_string(stride) + " does not fit a width of " +
                                                 std::to_string(width));
    }
    const Variant& variant = choose(kMixDenseVariants, rowCapabilities(allowed, width));
    // Four neighbours of one row serve as well as one element of four rows, and are read and written together.
    const bool quads = stride % 4 == 0;
    columns_ = quads ? 4 : 1;
    one_ = {pipelineFor(library, variant, localSize_, 1, quads), 1};
    many_ = quads ? one_ : Tile{pipelineFor(library, variant, localSize_, 4, false), 4};
}

void MixDense::record(vk::Recorder& recorder, const Args& args) const {
    shaders::MixDensePush push{};
    push.rows = args.rows;
    push.width = width_;
    push.order = order_;
    push.stride = stride_;
    const Tile& tile = args.rows == 1 ? one_ : many_;
    push.groupsY = gridSize(device_, 1, divideUp(args.rows, tile.rows));
    recorder.dispatch(*tile.pipeline,
                      {vk::read(floatRows(args.x, args.rows, width_)),
                       vk::read(floatRows(args.matrix, order_, roundUp(order_, kOutputs))),
                       vk::write(floatRows(args.y, args.rows, width_))},
                      push,
                      {static_cast<uint32_t>(divideUp(width_ / order_ / columns_, localSize_)), push.groupsY,
                       static_cast<uint32_t>(divideUp(order_, kOutputs))},
                      "mix_dense");
}

std::vector<float> MixDense::layOut(uint32_t order, std::span<const float> matrix) {
    if (matrix.size() != uint64_t{order} * order) {
        throw Error(Result::InvalidArgument, "a mix matrix must have order * order elements");
    }
    const size_t padded = static_cast<size_t>(roundUp(order, kOutputs));
    std::vector<float> words(order * padded, 0.0f);
    for (size_t i = 0; i < order; ++i) {
        for (size_t j = 0; j < order; ++j) words[j * padded + i] = matrix[i * order + j];
    }
    return words;
}

}  // namespace vulcat::kernels
