#include "kernels/site_tiles.h"

#include "kernels/block_transform.h"
#include "kernels/launch.h"
#include "kernels/linear_weights.h"
#include "kernels/mix_codes.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kMostBlockInRegisters = 64;  // its sums lie in registers
constexpr uint32_t kSiteStep = 32;       // STEP of site_tiles.comp
// Blocks of a team: enough that starting it and reading the row for the norm once more do not count.
constexpr uint32_t kShare = 8;

MixCodesShape mixOf(const SiteCodesShape& shape) {
    return {shape.width, shape.mixCore, shape.mixStride, shape.mixOrder, shape.format};
}

}  // namespace

bool SiteTiles::fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape) {
    const uint32_t lanes = weightLanes(device);
    const bool blocks = shape.block > 0 && shape.block <= kMostBlockInRegisters && kSiteStep % lanes == 0 && shape.block % kSiteStep == 0 &&
                        shape.width % shape.block == 0;
    return blocks && BlockTransform::order(device, allowed, shape.width, shape.block) == WeightOrder::Words &&
           MixCodes::fits(device, allowed, mixOf(shape));
}

SiteTiles::SiteTiles(vk::Device& device, vk::PipelineLibrary& library, const SiteCodesShape& shape)
    : device_(device), shape_(shape) {
    shape.requireWhole();
    const uint32_t blocks = shape.width / shape.block;
    const uint32_t share = std::min(blocks, kShare);
    teams_ = static_cast<uint32_t>(divideUp(blocks, share));
    vk::PipelineSpec spec;
    spec.module = "site_tiles_address";
    spec.constants = {weightLanes(device),
                      shape.width,
                      static_cast<uint32_t>(shape.source),
                      shape.block,
                      shape.mixCore,
                      shape.mixStride,
                      shape.mixOrder,
                      MixCodes::tileOutputs(mixOf(shape)),
                      formatConstant(shape.format),
                      share};
    spec.pushBytes = sizeof(shaders::SiteTilesPush);
    spec.bindings.assign(6, vk::BindingKind::Storage);
    spec.bindings[0] = vk::BindingKind::UniformTexel;
    if (device.subgroupSizeControl()) spec.requiredSubgroupSize = weightLanes(device);
    pipeline_ = &library.get(spec);
}

bool SiteTiles::preferred(uint32_t rows) const {
    // What single kernels save in arithmetic on many rows at once passes the price of their dispatches (15 to 30 us) at about
    // this many elements.
    return rows <= kMostRows && (rows == 1 || uint64_t{rows} * shape_.width <= 8192);
}

void SiteTiles::record(vk::Recorder& recorder, const Args& args) const {
    if (args.rows == 0 || args.rows > args.out.rows() || args.out.inputs() != shape_.width) {
        throw Error(Result::InvalidArgument,
                    "quantised rows must have the site's width and room for " + std::to_string(args.rows) + " rows");
    }
    const vk::BufferView x = floatRows(args.x, args.rows, shape_.sourceWidth());
    const vk::BufferView floats = args.floats.part(0, shape_.floatCount() * sizeof(float));
    const vk::BufferView blocks = floatRows(args.blocks, shape_.width, divideUp(shape_.block, 8) * 4);
    const vk::BufferView scratch = floatRows(args.scratch, args.rows, shape_.width);
    shaders::SiteTilesPush push{};
    push.epsilon = shape_.epsilon;
    push.mixScale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.mixOrder)));
    setAddress(x, push.inputsLow, push.inputsHigh);
    setAddress(floats, push.floatsLow, push.floatsHigh);
    setAddress(blocks, push.blocksLow, push.blocksHigh);
    setAddress(scratch, push.scratchLow, push.scratchHigh);
    const uint32_t most = device_.limits().maxWorkgroupCount[1];
    for (uint32_t first = 0; first < args.rows; first += std::min(most, args.rows - first)) {
        push.firstRow = first;
        recorder.dispatch(*pipeline_,
                          {vk::read(x), vk::read(floats), vk::read(blocks),
                           vk::write(args.out.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.width))),
                           vk::readWrite(scratch), vk::readWrite(args.arrivals.part(0, args.rows * sizeof(uint32_t)))},
                          push, {teams_, std::min(most, args.rows - first), 1}, "site_tiles");
    }
}

}  // namespace vulcat::kernels
