#include "layers/norm.h"

#include "layers/linear_source.h"
#include "layers/upload.h"

namespace vulcat::layers {

Norm::Norm(const Engine& engine, WeightSink& sink, const format::TensorStore& store, std::string_view name,
           uint32_t width, float epsilon)
    : kernel_(engine.device, engine.pipelines, engine.allowed, width, epsilon),
      gamma_(uploadFloats(sink, readVector(store, name, width))) {}

void Norm::record(vk::Recorder& recorder, const vk::BufferView& x, const vk::BufferView& y, uint32_t rows) const {
    kernel_.record(recorder, {x, gamma_, y, rows});
}

}  // namespace vulcat::layers
