#pragma once
// The second half of a decoder layer after its norm: hidden += W_down (silu(W_gate normed) * W_up normed).

#include "layers/activations.h"
#include "layers/site.h"

#include "kernels/swiglu.h"

#include <array>

namespace vulcat::layers {

class Mlp {
  public:
    Mlp(const Engine& engine, WeightSink& sink, const format::TensorStore& store, const format::ModelConfig& config,
        int layer);

    /// Whether record() with so many rows reads activations.hidden and norms it itself.
    bool norms(uint32_t rows) const { return gateUp_.fuses(rows); }

    /// Reads activations.normed (or see norms()), adds to activations.hidden.
    void record(vk::Recorder& recorder, const Activations& activations, Span span) const;

    /// As record() for one row and its norm, see Site::addSteps().
    void addSteps(kernels::RowSteps& steps, const Activations& activations) const;

    std::array<const Site*, 2> sites() const { return {&gateUp_, &down_}; }

  private:
    uint32_t hiddenSize_;
    uint32_t width_;
    Site gateUp_;
    kernels::SwiGlu swiGlu_;
    Site down_;
};

}  // namespace vulcat::layers
