#include "kernels/embedding.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/row_kernels.h"

#include "base/error.h"

namespace vulcat::kernels {
namespace {

const vk::Pipeline& pipelineFor(vk::Device& device, vk::PipelineLibrary& library, const LinearShape& shape,
                                WeightOrder order) {
    if (shape.isInteger()) throw Error(Result::Unsupported, "an embedding table must be F32, F16 or BF16");
    vk::PipelineSpec spec;
    spec.module = "embedding";
    spec.constants = {defaultLocalSize(device), shape.inputs % 4 == 0, shaderFormat(shape.format), weightLanes(device),
                      order == WeightOrder::Words};
    spec.pushBytes = sizeof(shaders::EmbeddingPush);
    spec.bindings.assign(3, vk::BindingKind::Storage);
    return library.get(spec);
}

}  // namespace

Embedding::Embedding(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                     const LinearShape& shape)
    : device_(device),
      order_(floatOrder(device, allowed, shape)),
      pipeline_(pipelineFor(device, library, shape, order_)),
      shape_(shape) {}

void Embedding::record(vk::Recorder& recorder, const Args& args) const {
    if (!(args.table.shape() == shape_) || args.table.order() != order_) {
        throw Error(Result::InvalidArgument, "an embedding table must have the shape and order its plan was made for");
    }
    const vk::BufferView ids = floatRows(args.ids, args.rows, 1);
    const vk::BufferView y = floatRows(args.y, args.rows, shape_.inputs);
    for (const WeightPanel& panel : args.table.panels()) {
        shaders::EmbeddingPush push{};
        push.rows = args.rows;
        push.width = shape_.inputs;
        push.units = shape_.units();
        push.rowBegin = panel.rowBegin;
        push.rowCount = panel.rowCount;
        push.groupsX = gridSize(device_, 0, args.rows);
        recorder.dispatch(pipeline_, {vk::read(panel.codes), vk::read(ids), vk::write(y)}, push, {push.groupsX, 1, 1},
                          "embedding");
    }
}

}  // namespace vulcat::kernels
