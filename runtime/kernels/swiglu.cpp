#include "kernels/swiglu.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>

namespace vulcat::kernels {
namespace {

constexpr Variant kSwigluVariants[] = {
    {"swiglu", {}, 0},
    {"swiglu_texel", {vk::Capability::Texel}, 1},
};

}  // namespace

SwiGlu::SwiGlu(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width)
    : device_(device), width_(width), localSize_(defaultLocalSize(device)) {
    const Variant& variant = choose(kSwigluVariants, rowCapabilities(allowed, width));
    vk::PipelineSpec spec;
    spec.module = variant.module;
    spec.constants = {localSize_, width % 4 == 0};
    spec.pushBytes = sizeof(shaders::SwiGluPush);
    spec.bindings.assign(2, vk::BindingKind::Storage);
    if (variant.required.contains(vk::Capability::Texel)) {
        std::fill_n(spec.bindings.begin(), 1, vk::BindingKind::UniformTexel);
    }
    pipeline_ = &library.get(spec);
}

void SwiGlu::record(vk::Recorder& recorder, const Args& args) const {
    shaders::SwiGluPush push{};
    push.rows = args.rows;
    push.width = width_;
    push.groupsX = gridSize(device_, 0, divideUp(divideUp(width_, 4), uint64_t{localSize_} * 8));
    push.groupsY = gridSize(device_, 1, args.rows);
    recorder.dispatch(*pipeline_,
                      {vk::read(floatRows(args.gateUp, args.rows, uint64_t{width_} * 2)),
                       vk::write(floatRows(args.y, args.rows, width_))},
                      push, {push.groupsX, push.groupsY, 1}, "swiglu");
}

}  // namespace vulcat::kernels
