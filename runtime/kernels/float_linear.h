#pragma once
// y = W x + b with float activations: weights F32, F16 or BF16 (w16a16), or Int4 or Int8 codes (w4a16, w8a16); GEMM for
// many rows and GEMV for few.
//
//     y[m,n] = sum_g s[n,g] * (sum_{k in g} float(w[n,k]) x[m,k]) + b[n]  (+ y[m,n]);  float weights: one group, s = 1
//
// Weights are widened exactly; products accumulate in float32 in an order that depends on the variant, so variants
// agree only within the rounding bound of a K-term sum.
//
// Variants: BASE reads activations at workgroup-uniform addresses; SUBGROUP reads one vector an invocation and hands
// the elements round by shuffles; SUBGROUP + TEXEL reads weights through texel buffers; SUBGROUP + ADDRESS reads at
// addresses that all lanes share, from weights in the order of words.

#include "kernels/linear_weights.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <string_view>

namespace vulcat::kernels {

class FloatLinear {
  public:
    /// Pipelines for weights of this shape: one for a single row, and, when maxRows says that there are more, one for
    /// many. Any K and N.
    FloatLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                const LinearShape& shape, uint32_t maxRows);

    struct Args {
        vk::BufferView x;              ///< float [rows][K]
        const LinearWeights& weights;  ///< of the constructor's shape
        vk::BufferView y;              ///< float [rows][weights.outputs()]; must not overlap x
        uint32_t rows = 0;             ///< M: 1 <= rows <= maxRows
        bool accumulate = false;       ///< adds to what y holds (a residual)
    };
    /// One dispatch a panel. Throws Error(InvalidArgument) when the arguments disagree with the plan.
    void record(vk::Recorder& recorder, const Args& args) const;

    std::string_view module() const { return module_; }  ///< the chosen variant's shader for many rows

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        uint32_t rows = 0;   ///< rows of x a workgroup computes
        uint32_t tiles = 0;  ///< weight tiles a workgroup computes
    };

    const vk::Device& device_;
    LinearShape shape_;
    WeightOrder order_ = WeightOrder::Lanes;
    uint32_t maxRows_ = 0;
    bool texel_ = false;
    std::string_view module_;
    Tile few_;
    Tile many_;
};

}  // namespace vulcat::kernels
