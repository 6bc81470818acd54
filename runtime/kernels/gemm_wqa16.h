#pragma once
// w4a16 and w8a16: y[m,n] = sum_g s[n,g] (sum_{k in g} float(q[n,k]) x[m,k]) + b[n], integer weights with float
// activations, per-row (G = 0) and per-group scales, any number of rows. float(q) is exact; products accumulate in
// float32, so results agree between variants within the rounding bound of a K-term sum.

#include "kernels/linear_weights.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <vector>

namespace vulcat::kernels {

class GemmWqA16 {
  public:
    struct Args {
        vk::BufferView x;  ///< [rows, K] float32
        vk::BufferView y;  ///< [rows, N] float32, written; must not overlap x
        uint32_t rows = 0;
        bool accumulate = false;  ///< y += instead of y = (the residual)
    };

    /// `weights` must outlive this object and everything it recorded.
    GemmWqA16(vk::Device& device, vk::PipelineLibrary& library, vk::CapabilitySet allowed, const LinearWeights& weights);

    /// One dispatch a weight panel.
    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        uint32_t rows = 1;     ///< of x a workgroup takes
        uint32_t columns = 1;  ///< of y a workgroup writes
    };

    const LinearWeights* weights_;
    Tile one_;
    Tile many_;
};

}  // namespace vulcat::kernels
