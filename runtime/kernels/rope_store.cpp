#include "kernels/rope_store.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

namespace vulcat::kernels {

RopeStore::RopeStore(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet&,
                     const AttentionShape& shape)
    : device_(device), shape_(shape), localSize_(defaultLocalSize(device)) {
    if (shape.headDim == 0 || shape.headDim % 2 != 0 || shape.kvHeads == 0) {
        throw Error(Result::InvalidArgument, "rotary embeddings need an even head size and at least one key head");
    }
    const uint32_t half = shape.headDim / 2;
    vk::PipelineSpec spec;
    spec.module = "rope_store";
    spec.constants = {localSize_, half % 4 == 0, half};
    spec.pushBytes = sizeof(shaders::RopeStorePush);
    spec.bindings.assign(4, vk::BindingKind::Storage);
    pipeline_ = &library.get(spec);
}

void RopeStore::record(vk::Recorder& recorder, const Args& args) const {
    shaders::RopeStorePush push{};
    push.rows = args.rows;
    push.heads = shape_.heads;
    push.kvHeads = shape_.kvHeads;
    push.position = args.position;
    const uint32_t end = args.position + args.rows;
    // Only what is written is named, so that the recorder sees no conflict with reads of other positions. The views
    // start at the cache's beginning because bound offsets must keep the device's alignment.
    const vk::BufferView keys = floatRows(args.keys, end, shape_.cacheWidth());
    const vk::BufferView values = floatRows(args.values, end, shape_.cacheWidth());
    const uint64_t steps = divideUp(shape_.qkvWidth() / 2, shape_.headDim % 8 == 0 ? 4 : 1);
    push.groupsX = gridSize(device_, 0, divideUp(steps, uint64_t{localSize_} * 4));
    push.groupsY = gridSize(device_, 1, args.rows);
    recorder.dispatch(*pipeline_,
                      {vk::readWrite(floatRows(args.qkv, args.rows, shape_.qkvWidth())),
                       vk::read(floatRows(args.table, end, shape_.headDim)), vk::write(keys), vk::write(values)},
                      push, {push.groupsX, push.groupsY, 1}, "rope_store");
}

}  // namespace vulcat::kernels
