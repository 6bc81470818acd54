#include "model/token_program.h"

#include <algorithm>
#include <span>

namespace vulcat::model {
namespace {

kernels::RowSteps::Memory memoryOf(const format::ModelConfig& config, const ActivationPlan& plan, bool withLogits) {
    const layers::Activations& activations = plan.activations();
    const kernels::AttentionShape attention = layers::attentionShape(config);
    const auto row = [](const vk::BufferView& view, int64_t width) { return layers::rowsOf(view, 1, static_cast<uint32_t>(width)); };
    const auto widest = static_cast<uint32_t>(std::max(config.hiddenSize, config.intermediateSize));
    return {row(activations.hidden, config.hiddenSize),
            row(activations.qkv, attention.qkvWidth()),
            row(activations.mixed, attention.heads * attention.headDim),
            row(activations.gateUp, 2 * config.intermediateSize),
            withLogits ? row(plan.logits(), config.vocabSize) : vk::BufferView(),
            plan.codesMemory().part(0, kernels::QuantisedRows::sizeBytes(1, widest)),
            row(activations.first, widest)};
}

}  // namespace

TokenProgram::TokenProgram(const DecoderModel& model, const ActivationPlan& plan, const KeyValueCache& cache,
                           const vk::BufferView& ropeTable)
    : program_(*model.rowProgram()),
      makesLogits_(model.logits().site() != nullptr && model.logits().site()->fits(program_.shape())),
      steps_(model.engine().device, program_.shape(), memoryOf(model.config(), plan, makesLogits_)),
      arena_(model.engine().device, vk::MemoryIntent::Device, 4096) {
    const layers::Activations& activations = plan.activations();
    const kernels::RowSteps::Memory& memory = steps_.memory();
    layers::Activations row = activations;
    row.hidden = memory.hidden;
    row.qkv = memory.qkv;
    row.mixed = memory.mixed;
    row.gateUp = memory.gateUp;
    for (size_t i = 0; i < model.layers().size(); ++i) model.layers()[i].addSteps(steps_, row, cache.layer(i), ropeTable);
    if (makesLogits_) model.logits().site()->addSteps(steps_, row.hidden, memory.logits, false, row.scratch(format::SiteKind::Head));
    const std::span<const shaders::ProgramStep> steps = steps_.steps();
    table_ = arena_.allocate(steps.size_bytes());
    counters_ = arena_.allocate(kernels::RowProgram::countersBytes(steps.size()));
    vk::Uploader uploader(model.engine().device);
    uploader.write(table_, steps);
    uploader.finish();
}

void TokenProgram::record(vk::Recorder& recorder, uint32_t position, bool singly) const {
    const kernels::RowProgram::Args args{steps_, table_, counters_, position};
    if (singly) {
        program_.recordSingly(recorder, args);
    } else {
        program_.record(recorder, args);
    }
}

}  // namespace vulcat::model
