#include "layers/linear.h"

namespace vulcat::layers {

Linear::Linear(const Engine& engine, WeightSink& sink, const LinearSource& source, bool quantisedInput)
    : weights_(engine.device, sink.arena, sink.uploader, engine.allowed, source.shape(), source.parts(),
               quantisedInput ? kernels::integerOrder(engine.device, engine.allowed, source.shape())
                              : kernels::floatOrder(engine.device, engine.allowed, source.shape())) {
    const auto input = quantisedInput ? kernels::LinearInput::Codes : kernels::LinearInput::Floats;
    const kernels::LinearSize size{source.shape(), weights_.outputs(), input};
    const std::span<const kernels::LinearTile> tuned = engine.tilesOf(size);
    if (quantisedInput) {
        integerKernel_.emplace(engine.device, engine.pipelines, engine.allowed, size, kMaxRows, tuned);
    } else {
        floatKernel_.emplace(engine.device, engine.pipelines, engine.allowed, size, kMaxRows, tuned);
    }
}

kernels::LinearSize Linear::size() const {
    const auto input = integerKernel_ ? kernels::LinearInput::Codes : kernels::LinearInput::Floats;
    return {weights_.shape(), weights_.outputs(), input};
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
