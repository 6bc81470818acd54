#include "kernels/mix_codes.h"

#include "kernels/launch.h"
#include "kernels/linear_weights.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kMostOrder = 128;  // vectors of a tile: more take the driver too long to compile
constexpr uint32_t kMostCore = 64;    // the sums over it are written out
constexpr uint32_t kTileVectors = 16;  // as many sums as lie in registers beside what they are made of

}  // namespace

bool MixCodes::takes(const MixCodesShape& shape, uint32_t lanes) {
    // A single vector a tile would leave the loops' own cost as the greater part.
    return shape.stride % (4 * lanes) == 0 && shape.order <= kMostOrder && shape.core <= kMostCore &&
           shape.core * shape.order >= 4;
}

uint32_t MixCodes::tileOutputs(const MixCodesShape& shape) {
    return std::clamp(kTileVectors / shape.order, 1u, std::min(shape.core, 4u));
}

bool MixCodes::fits(const vk::Device& device, const vk::CapabilitySet& allowed, const MixCodesShape& shape) {
    return readsWords(device, allowed) && takes(shape, weightLanes(device));
}

MixCodes::MixCodes(vk::Device& device, vk::PipelineLibrary& library, const MixCodesShape& shape)
    : device_(device), shape_(shape) {
    if (shape.width == 0 || !std::has_single_bit(shape.order) || shape.core == 0 || shape.stride == 0 ||
        shape.width % (uint64_t{shape.core} * shape.stride * shape.order) != 0) {
        throw Error(Result::InvalidArgument,
                    "the mix of a site does not divide its width of " + std::to_string(shape.width));
    }
    vk::PipelineSpec spec;
    spec.module = "mix_codes_address";
    spec.constants = {weightLanes(device), shape.width, shape.core, shape.stride, shape.order,
                      tileOutputs(shape), formatConstant(shape.format)};
    spec.pushBytes = sizeof(shaders::MixCodesPush);
    spec.bindings.assign(3, vk::BindingKind::Storage);
    if (device.subgroupSizeControl()) spec.requiredSubgroupSize = weightLanes(device);
    pipeline_ = &library.get(spec);
}

void MixCodes::record(vk::Recorder& recorder, const Args& args) const {
    if (args.rows == 0 || args.rows > args.out.rows() || args.out.inputs() != shape_.width) {
        throw Error(Result::InvalidArgument,
                    "quantised rows must have the mix's width and room for " + std::to_string(args.rows) + " rows");
    }
    const vk::BufferView x = floatRows(args.x, args.rows, shape_.width);
    const vk::BufferView matrix =
        shape_.core == 1 ? x : floatRows(args.matrix, shape_.core, roundUp(shape_.core, 8));
    shaders::MixCodesPush push{};
    push.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.order)));
    setAddress(x, push.inputsLow, push.inputsHigh);
    setAddress(matrix, push.matrixLow, push.matrixHigh);
    const uint32_t most = device_.limits().maxWorkgroupCount[0];
    for (uint32_t first = 0; first < args.rows; first += std::min(most, args.rows - first)) {
        push.firstRow = first;
        recorder.dispatch(*pipeline_,
                          {vk::read(x), vk::read(matrix),
                           vk::write(args.out.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.width)))},
                          push, {std::min(most, args.rows - first), 1, 1}, "mix_codes");
    }
}

}  // namespace vulcat::kernels
