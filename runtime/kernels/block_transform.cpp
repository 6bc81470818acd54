#include "kernels/block_transform.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr Variant kBlockTransformVariants[] = {
    {"block_transform", {}, 0},
    {"block_transform_subgroup", {vk::Capability::Subgroup}, 1},
    {"block_transform_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    {"block_transform", {vk::Capability::Scalars}, 3},
};
constexpr Variant kBlockTransformWords = {
    "block_transform_address", {vk::Capability::Subgroup, vk::Capability::Address}, 0};
constexpr uint32_t kElementsOfWord = 8;
constexpr uint32_t kStep = 32;  // inputs that are read at once

}  // namespace

BlockTransform::BlockTransform(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                               uint32_t width, uint32_t block, bool swiGlu)
    : device_(device), width_(width), block_(std::min(block, width)), lanes_(weightLanes(device)) {
    if (width == 0 || block == 0)
        throw Error(Result::InvalidArgument, "a block transform needs a width and a block size");
    const bool words = order(device, allowed, width_, block_) == WeightOrder::Words;
    // Of a SwiGLU with scalars each invocation would compute every input.
    const vk::CapabilitySet usable = swiGlu ? allowed - vk::CapabilitySet{vk::Capability::Scalars} : allowed;
    const Variant& variant =
        words ? kBlockTransformWords
              : choose(kBlockTransformVariants, rowCapabilities(laneCapabilities(device, usable), width_ | block_));
    const bool subgroup = variant.required.contains(vk::Capability::Subgroup);
    const bool wholeSteps = block_ % kStep == 0 && width_ % block_ % kStep == 0;
    swiGlu_ = swiGlu;
    const auto tile = [&](uint32_t rows) {
        // No wider than a block: outputs of different blocks read different inputs.
        const uint64_t most = words && swiGlu ? 8 : 4;  // what a SwiGLU costs is shared by more outputs
        const auto columns = static_cast<uint32_t>(std::clamp<uint64_t>(divideUp(block_, lanes_), 1, most));
        const std::string module = variant.module + (words ? "" : "_m" + std::to_string(rows));
        vk::PipelineSpec spec;
        spec.module = module;
        spec.constants = {lanes_, columns, width_ % 4 == 0 && block_ % 4 == 0,
                          swiGlu ? shaders::kSourceSwiGlu : shaders::kSourceRows};
        if (words) spec.constants.push_back(rows);
        if (words || !subgroup) spec.constants.push_back(wholeSteps);
        spec.pushBytes = sizeof(shaders::BlockTransformPush);
        spec.bindings.assign(3, vk::BindingKind::Storage);
        if (variant.required.contains(vk::Capability::Texel)) {
            std::fill_n(spec.bindings.begin(), 2, vk::BindingKind::UniformTexel);
        }
        if (subgroup && device.subgroupSizeControl()) spec.requiredSubgroupSize = lanes_;
        return Tile{&library.get(spec), rows, columns};
    };
    one_ = tile(1);
    many_ = tile(words && !swiGlu ? 8 : 4);
}

void BlockTransform::record(vk::Recorder& recorder, const Args& args) const {
    const Tile& tile = args.rows == 1 ? one_ : many_;
    const uint64_t words = divideUp(block_, kElementsOfWord);
    const uint64_t groups = divideUp(width_, block_) * divideUp(block_, uint64_t{tile.columns} * lanes_);
    const uint64_t rowsOfDispatch = uint64_t{device_.limits().maxWorkgroupCount[1]} * tile.rows;
    for (uint64_t first = 0; first < args.rows; first += rowsOfDispatch) {
        shaders::BlockTransformPush push{};
        push.rows = args.rows;
        push.firstRow = static_cast<uint32_t>(first);
        push.width = width_;
        push.block = block_;
        setAddress(args.x, push.inputsLow, push.inputsHigh);
        setAddress(args.blocks, push.blocksLow, push.blocksHigh);
        const uint64_t rows = std::min(rowsOfDispatch, args.rows - first);
        recorder.dispatch(
            *tile.pipeline,
            {vk::read(floatRows(args.x, args.rows, uint64_t{width_} * (swiGlu_ ? 2 : 1))),
             vk::read(floatRows(args.blocks, width_, words * 4)), vk::write(floatRows(args.y, args.rows, width_))},
            push, {static_cast<uint32_t>(groups), static_cast<uint32_t>(divideUp(rows, tile.rows)), 1},
            "block_transform");
    }
}

WeightOrder BlockTransform::order(const vk::Device& device, const vk::CapabilitySet& allowed, uint32_t width,
                                  uint32_t block) {
    const uint32_t lanes = weightLanes(device), size = std::min(block, width);
    const bool words = readsWords(device, allowed) && lanes <= kStep && width % lanes == 0 && size % lanes == 0;
    return words ? WeightOrder::Words : WeightOrder::Lanes;
}

bool BlockTransform::takesSwiGlu(const vk::Device& device, const vk::CapabilitySet& allowed, uint32_t block) {
    // Without subgroups every invocation would compute every input for itself.
    const bool subgroup = laneCapabilities(device, allowed).contains(vk::Capability::Subgroup);
    return subgroup && block <= 8 * weightLanes(device);
}

std::vector<uint32_t> BlockTransform::layOut(uint32_t width, uint32_t block, std::span<const uint16_t> blocks,
                                             std::span<const uint16_t> tail, WeightOrder order, uint32_t lanes) {
    if (width == 0 || block == 0)
        throw Error(Result::InvalidArgument, "a block transform needs a width and a block size");
    const size_t full = width / block;
    const size_t rest = width % block;
    if (blocks.size() != full * block * block || tail.size() != rest * rest) {
        throw Error(Result::InvalidArgument, "the blocks of a transform disagree with its width and block size");
    }
    const size_t words = static_cast<size_t>(divideUp(std::min(block, width), kElementsOfWord));
    std::vector<uint32_t> result(words * width * 4, 0u);
    for (size_t n = 0; n < width; ++n) {
        const size_t b = n / block;
        const size_t size = b < full ? block : rest;
        const uint16_t* row = (b < full ? blocks.data() + b * block * block : tail.data()) + (n - b * block) * size;
        const LaneWords place(order, static_cast<uint32_t>(n % lanes), lanes);
        for (size_t j = 0; j < size; ++j) {
            const size_t column = (order == WeightOrder::Words ? n - b * block : n) / lanes * lanes;
            const size_t first = order == WeightOrder::Words ? (b * block * words + j / kElementsOfWord * size + column) * 4
                                                             : (j / kElementsOfWord * width + column) * 4;
            const size_t word = place(0, static_cast<uint32_t>(j % kElementsOfWord / 2));
            result[first + word] |= uint32_t{row[j]} << (j % 2 * 16);
        }
    }
    return result;
}

}  // namespace vulcat::kernels
