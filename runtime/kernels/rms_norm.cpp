#include "kernels/rms_norm.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include <algorithm>

namespace vulcat::kernels {
namespace {

constexpr Variant kRmsNormVariants[] = {
    {"rms_norm", {}, 0},
    {"rms_norm_texel", {vk::Capability::Texel}, 1},
};

}  // namespace

RmsNorm::RmsNorm(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width,
                 float epsilon)
    : device_(device), width_(width), epsilon_(epsilon) {
    const Variant& variant = choose(kRmsNormVariants, rowCapabilities(allowed, width));
    vk::PipelineSpec spec;
    spec.module = variant.module;
    spec.constants = {rowLocalSize(device), width % 4 == 0};
    spec.pushBytes = sizeof(shaders::RmsNormPush);
    spec.bindings.assign(3, vk::BindingKind::Storage);
    if (variant.required.contains(vk::Capability::Texel)) {
        std::fill_n(spec.bindings.begin(), 2, vk::BindingKind::UniformTexel);
    }
    pipeline_ = &library.get(spec);
}

void RmsNorm::record(vk::Recorder& recorder, const Args& args) const {
    shaders::RmsNormPush push{};
    push.rows = args.rows;
    push.width = width_;
    push.epsilon = epsilon_;
    push.groupsX = gridSize(device_, 0, args.rows);
    recorder.dispatch(*pipeline_,
                      {vk::read(floatRows(args.x, args.rows, width_)), vk::read(floatRows(args.gamma, 1, width_)),
                       vk::write(floatRows(args.y, args.rows, width_))},
                      push, {push.groupsX, 1, 1}, "rms_norm");
}

}  // namespace vulcat::kernels
