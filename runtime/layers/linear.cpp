#include "layers/linear.h"

namespace vulcat::layers {

Linear::Linear(const Engine& engine, WeightSink& sink, const LinearSource& source, bool quantisedInput)
    : weights_(engine.device, sink.arena, sink.uploader, engine.allowed, source.shape(), source.parts()) {
    if (quantisedInput) {
        integerKernel_.emplace(engine.device, engine.pipelines, engine.allowed, source.shape(), kMaxRows);
    } else {
        floatKernel_.emplace(engine.device, engine.pipelines, engine.allowed, source.shape(), kMaxRows);
    }
}

void Linear::record(vk::Recorder& recorder, const SiteInput& x, const vk::BufferView& y, uint32_t rows,
                    bool accumulate) const {
    if (integerKernel_) {
        integerKernel_->record(recorder, {*x.codes, weights_, y, rows, accumulate});
    } else {
        floatKernel_->record(recorder, {x.floats, weights_, y, rows, accumulate});
    }
}

}  // namespace vulcat::layers
