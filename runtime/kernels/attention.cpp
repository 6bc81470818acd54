#include "kernels/attention.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/attention.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vulcat::kernels {
namespace {

constexpr Variant kAttentionVariants[] = {
    {"attention", {}, 0},
    {"attention_subgroup", {vk::Capability::Subgroup}, 1},
    {"attention_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
};

}  // namespace

Attention::Attention(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                     const AttentionShape& shape)
    : shape_(shape) {
    if (shape.headDim < 2 || shape.headDim > 256 || shape.headDim % 2 != 0) {
        throw Error(Result::Unsupported, "attention needs an even head size from 2 to 256");
    }
    if (shape.kvHeads == 0 || shape.heads % shape.kvHeads != 0) {
        throw Error(Result::InvalidArgument, "the number of key heads must divide the number of heads");
    }
    const uint32_t lanes = weightLanes(device);
    const Variant& variant = choose(kAttentionVariants, rowCapabilities(laneCapabilities(device, allowed), shape.headDim));
    const bool subgroup = variant.required.contains(vk::Capability::Subgroup);
    const auto tile = [&](uint32_t queries) {
        // One key an invocation: with two, llvmpipe spills registers, compiles six times as long and runs slower.
        constexpr uint32_t keys = 1;
        vk::PipelineSpec spec;
        spec.module = variant.module;
        spec.constants = {lanes, queries, keys, shape.headDim, shape.headDim % 4 == 0};
        spec.pushBytes = sizeof(shaders::AttentionPush);
        spec.bindings.assign(4, vk::BindingKind::Storage);
        if (variant.required.contains(vk::Capability::Texel)) {
            std::fill_n(spec.bindings.begin(), 3, vk::BindingKind::UniformTexel);
        }
        if (subgroup && device.subgroupSizeControl()) spec.requiredSubgroupSize = lanes;
        return Tile{&library.get(spec), queries};
    };
    // More queries share each key, but each costs an invocation headDim / lanes live sums. Heads that are no multiple
    // of 4 read element by element, which llvmpipe unrolls into code that grows with every query.
    const uint32_t affordable = shape.headDim % 4 != 0 ? 2u : subgroup ? 8u : 4u;
    const uint32_t many = std::bit_floor(std::clamp(64 * lanes / shape.headDim, 1u, affordable));
    decode_ = tile(std::min(std::bit_floor(shape.heads / shape.kvHeads), many));
    prefill_ = tile(many);
}

void Attention::record(vk::Recorder& recorder, const Args& args) const {
    const uint32_t ratio = shape_.heads / shape_.kvHeads;
    const uint64_t queries = uint64_t{args.rows} * ratio;
    const Tile& tile = args.rows == 1 ? decode_ : prefill_;
    shaders::AttentionPush push{};
    push.rows = args.rows;
    push.position = args.position;
    push.kvHeads = shape_.kvHeads;
    push.ratio = ratio;
    push.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.headDim)));
    const uint32_t end = args.position + args.rows;
    recorder.dispatch(*tile.pipeline,
                      {vk::read(floatRows(args.qkv, args.rows, shape_.qkvWidth())),
                       vk::read(floatRows(args.keys, end, shape_.cacheWidth())),
                       vk::read(floatRows(args.values, end, shape_.cacheWidth())),
                       vk::write(floatRows(args.y, args.rows, uint64_t{shape_.heads} * shape_.headDim))},
                      push, {static_cast<uint32_t>(divideUp(queries, tile.queries)), shape_.kvHeads, 1}, "attention");
}

}  // namespace vulcat::kernels
