#include "kernels/site_row.h"

#include "kernels/block_transform.h"
#include "kernels/launch.h"
#include "kernels/linear_weights.h"
#include "kernels/variant.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kSiteStep = 32;          // STEP of the shader
constexpr uint32_t kSiteColumns = 64;       // COLUMNS of the shader
constexpr uint32_t kMostMixOrder = 128;    // vectors of a tile: more take the driver too long to compile
constexpr uint32_t kMostMixCore = 64;      // the sums over it are written out
constexpr uint32_t kTileVectors = 16;   // as many sums as lie in registers beside what they are made of
constexpr uint32_t kPlainVectors = 8;   // of a tile without a mix: loops of single vectors would be mostly loop

bool mixes(const SiteCodesShape& shape) {
    return shape.mixCore > 1 || shape.mixOrder > 1;
}

}  // namespace

bool SiteRow::fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape) {
    const uint32_t lanes = weightLanes(device);
    if (!readsWords(device, allowed) || kSiteStep % lanes != 0 || shape.width % (4 * lanes) != 0 || shape.width % kSiteStep != 0) return false;
    const bool mix = !mixes(shape) || (shape.mixStride % (4 * lanes) == 0 && shape.mixOrder <= kMostMixOrder && shape.mixCore <= kMostMixCore);
    if (!mix || shape.block == 0) return mix;
    return shape.block % kSiteStep == 0 && (shape.block <= kSiteColumns || shape.block % kSiteColumns == 0) && shape.width % shape.block == 0 &&
           BlockTransform::order(device, allowed, shape.width, shape.block) == WeightOrder::Words;
}

SiteRow::SiteRow(const vk::Device& device, const SiteCodesShape& shape) : shape_(shape) {
    shape.requireWhole();
    uint32_t stride = shape.mixStride, power = shape.mixOrder, tile = 1;
    if (mixes(shape)) {
        tile = std::clamp(kTileVectors / shape.mixOrder, 1u, std::min(shape.mixCore, 4u));
    } else {
        stride = 4 * weightLanes(device);
        power = std::min(kPlainVectors, 1u << std::countr_zero(shape.width / stride));
    }
    constants_ = {shape.width, static_cast<uint32_t>(shape.source), shape.block,   shape.mixCore,
                  stride,      power,                               tile,          mixes(shape),
                  formatConstant(shape.format)};
}

vk::BufferView SiteRow::floats(const SiteRowViews& views) const {
    return views.floats.part(0, shape_.floatCount() * sizeof(float));
}

vk::BufferView SiteRow::blocks(const SiteRowViews& views) const {
    return shape_.block == 0 ? floats(views) : floatRows(views.blocks, shape_.width, divideUp(shape_.block, 8) * 4);
}

shaders::SiteRowPush SiteRow::push(const vk::BufferView& x, const SiteRowViews& views) const {
    shaders::SiteRowPush push{};
    push.epsilon = shape_.epsilon;
    push.mixScale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.mixOrder)));
    setAddress(x, push.inputsLow, push.inputsHigh);
    setAddress(floats(views), push.floatsLow, push.floatsHigh);
    setAddress(blocks(views), push.blocksLow, push.blocksHigh);
    setAddress(views.scratch, push.scratchLow, push.scratchHigh);
    return push;
}

}  // namespace vulcat::kernels
