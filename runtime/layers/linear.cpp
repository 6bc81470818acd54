#include "layers/linear.h"

namespace vulcat::layers {

Linear::Linear(const Engine& engine, WeightSink& sink, const LinearSource& source, bool quantisedInput)
    : weights_(engine.device, sink.arena, sink.uploader, engine.allowed, source.shape(), source.parts(),
               quantisedInput ? kernels::integerOrder(engine.device, engine.allowed, source.shape())
                              : kernels::floatOrder(engine.device, engine.allowed, source.shape())) {
    const kernels::LinearSize size{source.shape(), weights_.outputs()};
    if (quantisedInput) {
        const auto tuned =
            engine.tuning != nullptr ? engine.tuning->tilesOf(size) : std::span<const kernels::LinearTile>();
        integerKernel_.emplace(engine.device, engine.pipelines, engine.allowed, size, kMaxRows, tuned);
    } else {
        floatKernel_.emplace(engine.device, engine.pipelines, engine.allowed, size, kMaxRows);
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
