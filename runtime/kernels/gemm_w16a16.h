#pragma once
// y = W x + b with float weights and float activations, for any number of rows (one row is the GEMV of decoding).
// Weights are F32, F16 or BF16 and widened exactly; products accumulate in float32 in an order that depends on the
// variant, so results agree between variants only within the rounding bound of a K-term sum.

#include "kernels/float_weights.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <vector>

namespace vulcat::kernels {

class GemmW16A16 {
  public:
    struct Args {
        vk::BufferView x;  ///< [rows, K] float32
        vk::BufferView y;  ///< [rows, N] float32, written; must not overlap x
        uint32_t rows = 0;
        bool accumulate = false;  ///< y += instead of y = (the residual)
    };

    /// `weights` must outlive this object and everything it recorded.
    GemmW16A16(vk::Device& device, vk::PipelineLibrary& library, vk::CapabilitySet allowed, const FloatWeights& weights);

    /// One dispatch a weight panel.
    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        uint32_t rows = 1;     ///< of x a workgroup takes
        uint32_t columns = 1;  ///< of y a workgroup writes
    };

    const FloatWeights* weights_;
    Tile one_;
    Tile many_;
};

}  // namespace vulcat::kernels
