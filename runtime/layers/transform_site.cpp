#include "layers/transform_site.h"

#include "layers/upload.h"

#include "kernels/variant.h"

namespace vulcat::layers {
namespace {

std::span<const float> matrixOf(const format::Transform& transform) {
    return transform.mixCore > 1 ? std::span<const float>(transform.mixMatrix) : std::span<const float>();
}

}  // namespace

TransformSite::TransformSite(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
                             std::string_view site, const format::SiteRecipe& recipe, uint32_t width,
                             const SiteBefore& before)
    : TransformSite(engine, sink, format::readTransform(store, site, recipe, width), recipe, before) {}

TransformSite::TransformSite(const Engine& engine, WeightSink& sink, const format::Transform& transform,
                             const format::SiteRecipe& recipe, const SiteBefore& before)
    : width_(static_cast<uint32_t>(transform.width)) {
    const uint32_t width = width_;
    std::vector<uint32_t> blockWords;
    if (transform.hasBlocks()) {
        const auto block = static_cast<uint32_t>(transform.block);
        blocksTakeSwiGlu_ = before.source == kernels::SiteSource::SwiGlu &&
                            kernels::BlockTransform::takesSwiGlu(engine.device, engine.allowed, block);
        blocks_.emplace(engine.device, engine.pipelines, engine.allowed, width, block, blocksTakeSwiGlu_);
        const kernels::WeightOrder order =
            kernels::BlockTransform::order(engine.device, engine.allowed, width, block);
        blockWords = kernels::BlockTransform::layOut(width, block, transform.blocks, transform.tail, order,
                                                     kernels::weightLanes(engine.device));
    }
    std::optional<kernels::ActivationFormat> format;
    if (recipe.activationBits < 16) {
        format = {static_cast<uint32_t>(recipe.activationBits), recipe.activationBits == 8 || recipe.activationSymmetric};
        quantise_.emplace(engine.device, engine.pipelines, engine.allowed, *format);
    }
    if (transform.hasMix()) planMix(engine, sink, transform, format);
    std::vector<float> floats;
    if (format) floats = fuse(engine, transform, *format, before);
    if (teams_) {
        blockWords = kernels::SiteTeams::layOut(std::move(blockWords), floats);
    } else if (!floats.empty()) {
        fusedFloats_ = uploadFloats(sink, floats);
    }
    if (blocks_) blockWords_ = uploadWords(sink, blockWords);
}

void TransformSite::planMix(const Engine& engine, WeightSink& sink, const format::Transform& transform,
                            const std::optional<kernels::ActivationFormat>& format) {
    const auto core = static_cast<uint32_t>(transform.mixCore);
    const auto stride = static_cast<uint32_t>(transform.mixStride);
    const uint32_t order = 1u << transform.mixPower();
    if (format) {
        const kernels::SiteCodesShape shape{width_, kernels::SiteSource::Rows, 0, 0, core, stride, order, *format};
        if (kernels::SiteRow::fits(engine.device, engine.allowed, shape)) {
            mixCodes_.emplace(engine.device, engine.pipelines, shape);
            mixMatrix_ = uploadFloats(sink, kernels::SiteCodes::layOut(shape, {}, matrixOf(transform)));
            return;
        }
    }
    if (core > 1) mixMatrix_ = uploadFloats(sink, kernels::MixDense::layOut(core, transform.mixMatrix));
    if (core > 1) mixCore_.emplace(engine.device, engine.pipelines, engine.allowed, width_, core, stride);
    if (order > 1) mixHadamard_.emplace(engine.device, engine.pipelines, engine.allowed, width_, order, stride * core);
}

std::vector<float> TransformSite::fuse(const Engine& engine, const format::Transform& transform,
                                       const kernels::ActivationFormat& format, const SiteBefore& before) {
    kernels::SiteCodesShape shape;
    shape.width = width_;
    shape.source = before.source;
    shape.epsilon = before.epsilon;
    shape.block = blocks_ ? static_cast<uint32_t>(transform.block) : 0;
    if (transform.hasMix()) {
        shape.mixStride = static_cast<uint32_t>(transform.mixStride);
        shape.mixCore = static_cast<uint32_t>(transform.mixCore);
        shape.mixOrder = 1u << transform.mixPower();
    }
    shape.format = format;
    const bool plain = before.source == kernels::SiteSource::Rows && !transform.hasBlocks() && !transform.hasMix();
    if (kernels::SiteRow::fits(engine.device, engine.allowed, shape)) {
        tiles_.emplace(engine.device, engine.pipelines, shape);
    } else if (plain) {
        return {};
    } else if (kernels::SiteTeams::suits(engine.device, shape) &&
               kernels::SiteTeams::fits(engine.device, engine.allowed, shape)) {
        teams_.emplace(engine.device, engine.pipelines, shape);
    } else if (kernels::SiteCodes::fits(engine.device, engine.allowed, shape)) {
        fused_.emplace(engine.device, engine.pipelines, engine.allowed, shape);
        if (!fused_->preferred(1)) fused_.reset();
    }
    if (!tiles_ && !teams_ && !fused_) return {};
    return kernels::SiteCodes::layOut(shape, before.gamma, matrixOf(transform));
}

SiteInput TransformSite::record(vk::Recorder& recorder, const vk::BufferView& x, uint32_t rows,
                                const SiteScratch& scratch) const {
    if (fusesAll(rows)) {
        const kernels::QuantisedRows& codes = *scratch.codes;
        if (tiles_) {
            tiles_->record(recorder, {x, rowViews(scratch), codes, rows, scratch.arrivals});
        } else if (teams_) {
            teams_->record(recorder, {x, blockWords_, codes, rows, scratch.arrivals});
        } else {
            fused_->record(recorder, {x, fusedFloats_, blockWords_, codes, rows});
        }
        return {x, scratch.codes};
    }
    const uint64_t sizeBytes = uint64_t{rows} * width_ * sizeof(float);
    const vk::BufferView first = scratch.first.part(0, sizeBytes);
    const vk::BufferView second = scratch.second.part(0, sizeBytes);
    vk::BufferView current = x;
    if (blocks_) {
        blocks_->record(recorder, {current, blockWords_, first, rows});
        current = first;
    }
    if (mixCodes_) {
        mixCodes_->record(recorder, {current, {mixMatrix_, {}, second}, *scratch.codes, rows, scratch.arrivals});
        return {current, scratch.codes};
    }
    if (mixCore_) {
        const vk::BufferView& target = blocks_ ? second : first;
        mixCore_->record(recorder, {current, mixMatrix_, target, rows});
        current = target;
    }
    if (mixHadamard_) {
        // In place, but for the site's own input: that is the caller's.
        const vk::BufferView target = blocks_ || mixCore_ ? current : first;
        mixHadamard_->record(recorder, {current, target, rows, blocks_ && mixCore_ ? first : second});
        current = target;
    }
    if (!quantise_) return {current, nullptr};
    quantise_->record(recorder, {current, *scratch.codes, rows});
    return {current, scratch.codes};
}

}  // namespace vulcat::layers
