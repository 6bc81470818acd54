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

constexpr uint32_t kMostBits = 4;         // of a pass: 16 live floats, see mix_hadamard.comp
constexpr uint32_t kMostBitsOfQuads = 3;  // 8 live vec4

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
    for (uint32_t done = 0; done < bits;) {
        const bool quads = (stride << done) % 4 == 0;
        const uint32_t most = quads ? kMostBitsOfQuads : kMostBits;
        // Even shares: two passes of 8 by 8 beat 16 by 4, whose second pass moves as much for half the work.
        const uint64_t left = bits - done;
        const auto share = static_cast<uint32_t>(divideUp(left, divideUp(left, most)));
        vk::PipelineSpec spec;
        spec.module = "mix_hadamard";
        spec.constants = {localSize_, 1u << share, quads};
        spec.pushBytes = sizeof(shaders::MixHadamardPush);
        spec.bindings.assign(2, vk::BindingKind::Storage);
        const float scale = done + share == bits ? static_cast<float>(1 / std::sqrt(static_cast<double>(order))) : 1.0f;
        passes_.push_back({&library.get(spec), nullptr, 1u << share, stride << done, quads ? 4u : 1u, scale});
        if (texel) {
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
    const vk::BufferView scratch =
        args.scratch.size == 0 ? vk::BufferView{} : floatRows(args.scratch, args.rows, width_);
    const auto same = [](const vk::BufferView& a, const vk::BufferView& b) {
        return a.buffer == b.buffer && a.offset == b.offset;
    };
    for (size_t i = 0; i < passes_.size(); ++i) {
        const Pass& pass = passes_[i];
        // The last pass ends in y, those before it alternate; without scratch, or where they would meet x, in place.
        const bool toScratch = scratch.size != 0 && (passes_.size() - i) % 2 == 0;
        const vk::BufferView to = toScratch ? scratch : y;
        shaders::MixHadamardPush push{};
        push.rows = args.rows;
        push.width = width_;
        push.stride = pass.stride;
        push.scale = pass.scale;
        push.groupsX = gridSize(device_, 0, divideUp(width_ / (pass.radix * pass.step), uint64_t{localSize_} * 4));
        push.groupsY = gridSize(device_, 1, args.rows);
        const bool inPlace = same(from, to);
        const vk::Pipeline& pipeline = inPlace || pass.texelPipeline == nullptr ? *pass.pipeline : *pass.texelPipeline;
        recorder.dispatch(pipeline,
                          {inPlace ? vk::readWrite(from) : vk::read(from), inPlace ? vk::readWrite(to) : vk::write(to)},
                          push, {push.groupsX, push.groupsY, 1}, "mix_hadamard");
        from = to;
    }
}

}  // namespace vulcat::kernels
