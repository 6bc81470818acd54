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

// Workgroups that keep a GPU busy, keys below which a part is not worth its share of the second dispatch, most parts.
constexpr uint32_t kGroupsWanted = 128;
constexpr uint32_t kLeastPartKeys = 256;
constexpr uint32_t kMostParts = 64;
constexpr uint32_t kRowInvocations = 256;
constexpr uint32_t kMostQueries = 4;  // of a workgroup of attention_row: their sums lie in registers

}  // namespace

Attention::Attention(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                     const AttentionShape& shape, std::optional<bool> splits)
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
    const uint32_t ratio = shape.heads / shape.kvHeads;
    prefill_ = tile(many);
    if (!splits.value_or(device.info().type != vk::DeviceType::Cpu)) {
        decode_ = tile(std::min(std::bit_floor(ratio), many));
        return;
    }
    const uint32_t queries = std::bit_floor(std::min(ratio, kMostQueries));
    const auto row = [&](bool split) {
        vk::PipelineSpec spec;
        spec.module = "attention_row";
        const uint32_t threads = std::bit_floor(std::min(device.limits().maxWorkgroupInvocations, kRowInvocations));
        spec.constants = {threads, queries, shape.headDim, shape.headDim % 4 == 0, split};
        spec.pushBytes = sizeof(shaders::AttentionPush);
        spec.bindings.assign(4, vk::BindingKind::Storage);
        return Tile{&library.get(spec), queries};
    };
    decode_ = row(false);
    part_ = row(true);
    vk::PipelineSpec merge;
    merge.module = "attention_merge";
    merge.constants = {defaultLocalSize(device), shape.headDim, shape.headDim % 4 == 0, shape.heads};
    merge.pushBytes = sizeof(shaders::AttentionMergePush);
    merge.bindings.assign(2, vk::BindingKind::Storage);
    merge_ = &library.get(merge);
}

uint64_t Attention::partBytes() const {
    return shape_.heads * (divideUp(shape_.headDim, 4) + 1) * 4 * sizeof(float);
}

uint32_t Attention::partsFor(const Args& args) const {
    if (merge_ == nullptr || args.rows != 1) return 1;
    const uint64_t groups = shape_.kvHeads * divideUp(shape_.heads / shape_.kvHeads, part_.queries);
    const uint64_t parts = std::min({kGroupsWanted / std::max<uint64_t>(groups, 1), args.scratch.size / partBytes(),
                                     uint64_t{args.position + 1} / kLeastPartKeys, uint64_t{kMostParts}});
    return static_cast<uint32_t>(std::max<uint64_t>(parts, 1));
}

void Attention::record(vk::Recorder& recorder, const Args& args) const {
    const uint32_t ratio = shape_.heads / shape_.kvHeads;
    const uint64_t queries = uint64_t{args.rows} * ratio;
    const uint32_t end = args.position + args.rows;
    const auto partKeys = static_cast<uint32_t>(divideUp(end, partsFor(args)));
    const auto parts = static_cast<uint32_t>(divideUp(end, partKeys));  // none of them empty
    const Tile& tile = parts > 1 ? part_ : args.rows == 1 ? decode_ : prefill_;
    const vk::BufferView y = floatRows(args.y, args.rows, uint64_t{shape_.heads} * shape_.headDim);
    const vk::BufferView partial = parts > 1 ? args.scratch.part(0, parts * partBytes()) : y;
    shaders::AttentionPush push{};
    push.rows = args.rows;
    push.position = args.position;
    push.kvHeads = shape_.kvHeads;
    push.ratio = ratio;
    push.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.headDim)));
    push.partKeys = partKeys;
    recorder.dispatch(*tile.pipeline,
                      {vk::read(floatRows(args.qkv, args.rows, shape_.qkvWidth())),
                       vk::read(floatRows(args.keys, end, shape_.cacheWidth())),
                       vk::read(floatRows(args.values, end, shape_.cacheWidth())),
                       vk::write(partial)},
                      push, {static_cast<uint32_t>(divideUp(queries, tile.queries)), shape_.kvHeads, parts}, "attention");
    if (parts == 1) return;
    recorder.dispatch(*merge_, {vk::read(partial), vk::write(y)}, shaders::AttentionMergePush{parts},
                      {shape_.heads, 1, 1}, "attention_merge");
}

}  // namespace vulcat::kernels
