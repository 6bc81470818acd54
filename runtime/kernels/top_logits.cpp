#include "kernels/top_logits.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/top_logits.h"

#include "base/checked.h"

#include <algorithm>
#include <string>

namespace vulcat::kernels {

TopLogits::TopLogits(vk::Device& device, vk::PipelineLibrary& library, uint32_t count) : count_(count) {
    if (count == 0) throw Error(Result::InvalidArgument, "there is no largest of no logits");
    // Chunks as short as their number allows: behind each taken logit one chunk is searched again.
    constexpr uint32_t kShortest = 64;
    chunk_ = static_cast<uint32_t>(roundUp(divideUp(count, shaders::kMostChunks), kShortest));
    chunkCount_ = static_cast<uint32_t>(divideUp(count, chunk_));
    const auto pipeline = [&](bool merge) {
        vk::PipelineSpec spec;
        spec.module = "top_logits";
        spec.constants = {defaultLocalSize(device), merge};
        spec.pushBytes = sizeof(shaders::TopLogitsPush);
        spec.bindings.assign(3, vk::BindingKind::Storage);
        return &library.get(spec);
    };
    chunks_ = pipeline(false);
    merge_ = pipeline(true);
}

uint64_t TopLogits::scratchBytes() const {
    return uint64_t{chunkCount_} * 8;
}

void TopLogits::record(vk::Recorder& recorder, const Args& args) const {
    if (args.wanted == 0 || args.wanted > std::min(count_, kMostWanted)) {
        throw Error(Result::InvalidArgument, "cannot find the " + std::to_string(args.wanted) + " largest of " +
                                                 std::to_string(count_) + " logits, only up to " +
                                                 std::to_string(std::min(count_, kMostWanted)));
    }
    const shaders::TopLogitsPush push{count_, chunk_, chunkCount_, args.wanted};
    const vk::BufferView logits = floatRows(args.logits, 1, count_);
    const vk::BufferView scratch = args.scratch.part(0, scratchBytes());
    const vk::BufferView top = args.top.part(0, uint64_t{args.wanted} * 8);
    recorder.dispatch(*chunks_, {vk::read(logits), vk::write(scratch), vk::write(top)}, push, {chunkCount_, 1, 1},
                      "top_logits");
    recorder.dispatch(*merge_, {vk::read(logits), vk::read(scratch), vk::write(top)}, push, {1, 1, 1}, "top_logits");
}

}  // namespace vulcat::kernels
