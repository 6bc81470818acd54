#include "kernels/mix_hadamard.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kMostBits = 4;  // of a pass: 16 live floats, see mix_hadamard.comp

}  // namespace

MixHadamard::MixHadamard(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                         uint32_t width, uint32_t order, uint32_t stride)
    : device_(device), width_(width), localSize_(defaultLocalSize(device)) {
    if (order < 2 || !std::has_single_bit(order) || stride == 0 || width % (uint64_t{order} * stride) != 0) {
        throw Error(Result::InvalidArgument, "a Hadamard mix of order " + std::to_string(order) + " and stride " +
                                                 std::to_string(stride) + " does not fit a width of " +
                                                 std::to_string(width));
    }
    const bool texel = rowCapabilities(allowed, width).contains(vk::Capability::Texel);
    const uint32_t bits = static_cast<uint32_t>(std::countr_zero(order));
    const uint32_t count = (bits + kMostBits - 1) / kMostBits;
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; ++i) {
        // Even shares: two passes of 8 by 8 beat 16 by 4, whose second pass moves as much for half the work.
        const uint32_t share = (bits - done + count - i - 1) / (count - i);
        vk::PipelineSpec spec;
        spec.module = "mix_hadamard";
        spec.constants = {localSize_, 1u << share};
        spec.pushBytes = sizeof(shaders::MixHadamardPush);
        spec.bindings.assign(2, vk::BindingKind::Storage);
        const float scale = i + 1 == count ? static_cast<float>(1 / std::sqrt(static_cast<double>(order))) : 1.0f;
        passes_.push_back({&library.get(spec), nullptr, 1u << share, stride << done, scale});
        if (texel && i == 0) {  // later passes work in place, where a texel buffer would read what others write
            spec.module = "mix_hadamard_texel";
            spec.bindings[0] = vk::BindingKind::UniformTexel;
            passes_.back().texelPipeline = &library.get(spec);
        }
        done += share;
    }
}

void MixHadamard::record(vk::Recorder& recorder, const Args& args) const {
    const vk::BufferView y = floatRows(args.y, args.rows, width_);
    vk::BufferView from = floatRows(args.x, args.rows, width_);
    const bool inPlace = from.buffer == y.buffer && from.offset == y.offset;
    for (const Pass& pass : passes_) {
        shaders::MixHadamardPush push{};
        push.rows = args.rows;
        push.width = width_;
        push.stride = pass.stride;
        push.scale = pass.scale;
        const bool same = inPlace || &pass != &passes_.front();
        const vk::Pipeline& pipeline = same || pass.texelPipeline == nullptr ? *pass.pipeline : *pass.texelPipeline;
        recorder.dispatch(pipeline,
                          {same ? vk::readWrite(from) : vk::read(from), same ? vk::readWrite(y) : vk::write(y)}, push,
                          {gridSize(device_, 0, divideUp(width_ / pass.radix, uint64_t{localSize_} * 4)),
                           gridSize(device_, 1, args.rows), 1},
                          "mix_hadamard");
        from = y;
    }
}

}  // namespace vulcat::kernels
