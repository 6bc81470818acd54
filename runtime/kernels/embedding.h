#pragma once
// Embedding lookup: y[m] = W[ids[m]]. Reads the same re-laid matrix that the logits' GEMM reads, so that a model with
// tied embeddings holds it once.

#include "kernels/float_weights.h"
#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

class Embedding {
  public:
    struct Args {
        vk::BufferView ids;  ///< [rows] uint32, each below weights.outputs(); a larger id leaves its row unwritten
        vk::BufferView y;    ///< [rows, K] float32, written
        uint32_t rows = 0;
    };

    /// `weights` [vocabulary, K] must outlive this object and everything it recorded.
    Embedding(vk::Device& device, vk::PipelineLibrary& library, vk::CapabilitySet allowed, const FloatWeights& weights);

    /// One dispatch a weight panel.
    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const FloatWeights* weights_;
    const vk::Pipeline* pipeline_;
    uint32_t localSize_;
};

}  // namespace vulcat::kernels
