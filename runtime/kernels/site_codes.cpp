#include "kernels/site_codes.h"

#include "kernels/block_transform.h"
#include "kernels/launch.h"
#include "kernels/mix_dense.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr Variant kSiteCodesVariants[] = {
    {"site_codes", {}, 0},
    {"site_codes_subgroup", {vk::Capability::Subgroup}, 1},
    {"site_codes_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
};
constexpr uint64_t kSharedForReductions = 2048;

uint64_t paddedWidth(const SiteCodesShape& shape) {
    return roundUp(shape.width, 4);
}

}  // namespace

void SiteCodesShape::requireWhole() const {
    if (width != 0 && std::has_single_bit(mixOrder) && mixCore != 0 && mixStride != 0 &&
        width % (uint64_t{mixCore} * mixStride * mixOrder) == 0)
        return;
    throw Error(Result::InvalidArgument, "the mix of a site does not divide its width of " + std::to_string(width));
}

uint64_t SiteCodesShape::sourceWidth() const {
    return uint64_t{width} * (source == SiteSource::SwiGlu ? 2 : 1);
}

uint64_t SiteCodesShape::floatCount() const {
    const uint64_t matrix = mixCore > 1 ? mixCore * roundUp(mixCore, 8) : 0;
    return std::max<uint64_t>((source == SiteSource::Norm ? paddedWidth(*this) : 0) + matrix, 4);
}

bool SiteCodes::fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape) {
    if (shape.block != 0 && BlockTransform::order(device, allowed, shape.width, shape.block) == WeightOrder::Words) return false;
    const uint64_t bytes = paddedWidth(shape) * sizeof(float) * (shape.mixCore > 1 ? 2 : 1);
    return bytes + kSharedForReductions <= device.limits().maxSharedBytes;
}

SiteCodes::SiteCodes(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                     const SiteCodesShape& shape)
    : device_(device), shape_(shape) {
    shape_.block = std::min(shape.block, shape.width);
    shape.requireWhole();
    const vk::CapabilitySet usable = laneCapabilities(device, rowCapabilities(allowed, shape_.width | shape_.block));
    const Variant& variant = choose(kSiteCodesVariants, usable);
    vk::PipelineSpec spec;
    spec.module = variant.module;
    // Sums run over the lanes in their order: on a CPU as many as in rms_norm, so that the fused norm is the same.
    const bool subgroup = variant.required.contains(vk::Capability::Subgroup);
    const uint32_t lanes = subgroup ? weightLanes(device) : defaultLocalSize(device);
    spec.constants = {lanes,
                      shape_.width % 4 == 0 && shape_.block % 4 == 0,
                      shape_.width,
                      static_cast<uint32_t>(shape_.source),
                      shape_.block,
                      shape_.mixCore,
                      shape_.mixStride,
                      shape_.mixOrder,
                      formatConstant(shape_.format)};
    spec.pushBytes = sizeof(shaders::SiteCodesPush);
    spec.bindings.assign(4, vk::BindingKind::Storage);
    if (variant.required.contains(vk::Capability::Texel)) {
        std::fill_n(spec.bindings.begin(), 3, vk::BindingKind::UniformTexel);
    }
    if (subgroup && device.subgroupSizeControl()) spec.requiredSubgroupSize = lanes;
    pipeline_ = &library.get(spec);
}

bool SiteCodes::preferred(uint32_t rows) const {
    // On a CPU a workgroup is a core's work, and what single kernels save in arithmetic on many rows at once passes the
    // price of their dispatches (15 to 30 us) at about this many elements. On a GPU a row has one workgroup of all the
    // device's, so only short rows are worth it.
    if (device_.info().type == vk::DeviceType::Cpu) return uint64_t{rows} * shape_.width <= 8192;
    return shape_.width <= 512;
}

void SiteCodes::record(vk::Recorder& recorder, const Args& args) const {
    if (args.rows == 0 || args.rows > args.out.rows() || args.out.inputs() != shape_.width) {
        throw Error(Result::InvalidArgument,
                    "quantised rows must have the site's width and room for " + std::to_string(args.rows) + " rows");
    }
    const vk::BufferView floats = args.floats.part(0, shape_.floatCount() * sizeof(float));
    const uint64_t words = divideUp(shape_.block, 8);
    const vk::BufferView blocks = shape_.block == 0 ? floats : floatRows(args.blocks, shape_.width, words * 4);
    const uint32_t most = device_.limits().maxWorkgroupCount[0];
    shaders::SiteCodesPush push{};
    push.epsilon = shape_.epsilon;
    push.mixScale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.mixOrder)));
    for (uint32_t first = 0; first < args.rows; first += std::min(most, args.rows - first)) {
        push.firstRow = first;
        recorder.dispatch(
            *pipeline_,
            {vk::read(floatRows(args.x, args.rows, shape_.sourceWidth())), vk::read(floats), vk::read(blocks),
             vk::write(args.out.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.width)))},
            push, {std::min(most, args.rows - first), 1, 1}, "site_codes");
    }
}

std::vector<float> SiteCodes::layOut(const SiteCodesShape& shape, std::span<const float> gamma,
                                     std::span<const float> matrix) {
    const bool norm = shape.source == SiteSource::Norm;
    if (gamma.size() != (norm ? shape.width : 0) ||
        matrix.size() != (shape.mixCore > 1 ? uint64_t{shape.mixCore} * shape.mixCore : 0)) {
        throw Error(Result::InvalidArgument, "gamma and mix matrix of a site disagree with its shape");
    }
    std::vector<float> floats(gamma.begin(), gamma.end());
    if (norm) floats.resize(static_cast<size_t>(paddedWidth(shape)), 0.0f);
    if (shape.mixCore > 1) {
        const std::vector<float> words = MixDense::layOut(shape.mixCore, matrix);
        floats.insert(floats.end(), words.begin(), words.end());
    }
    floats.resize(static_cast<size_t>(shape.floatCount()), 0.0f);
    return floats;
}

}  // namespace vulcat::kernels
