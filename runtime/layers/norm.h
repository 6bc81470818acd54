#pragma once
// RMSNorm with its gamma.

#include "layers/engine.h"

#include "format/safetensors.h"
#include "kernels/rms_norm.h"
#include "vk/recorder.h"

#include <string_view>

namespace vulcat::layers {

class Norm {
  public:
    /// Errors: InvalidFile naming the tensor.
    Norm(const Engine& engine, WeightSink& sink, const format::TensorStore& store, std::string_view name,
         uint32_t width, float epsilon);

    /// x and y [rows, width]; they must not overlap.
    void record(vk::Recorder& recorder, const vk::BufferView& x, const vk::BufferView& y, uint32_t rows) const;

  private:
    kernels::RmsNorm kernel_;
    vk::BufferView gamma_;
};

}  // namespace vulcat::layers
