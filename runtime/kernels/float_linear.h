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
// addresses that all lanes share, from weights in the order of words. On a GPU a row or two take float_gemv instead, a
// base module whose workgroups share K, so that there are enough of them; with SUBGROUP + SCALARS x is loaded once a subgroup.

#include "kernels/linear_weights.h"
#include "kernels/tuning.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vulcat::kernels {

class FloatLinear {
  public:
    /// Pipelines for weights of this size: for a row, and, when maxRows says that there are more, for many. Any K and N.
    /// Of the `tuned` tiles those that are allowed are used; where there is none, what suits the device.
    FloatLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                const LinearSize& size, uint32_t maxRows, std::span<const LinearTile> tuned = {});

    /// All tiles that run on the device within `allowed`, for a tuner: BASE first, on a CPU fewer. Their costs mean
    /// nothing.
    static std::vector<LinearTile> tiles(const vk::Device& device, const vk::CapabilitySet& allowed,
                                         const LinearSize& size);
    /// What a GPU takes for a row untuned: as many workgroups and teams as keep a large one busy. It runs on any device that
    /// has the weights in the order of lanes.
    static LinearTile gpuTile(const vk::Device& device, const LinearSize& size);

    struct Args {
        vk::BufferView x;              ///< float [rows][K]
        const LinearWeights& weights;  ///< of the constructor's size
        vk::BufferView y;              ///< float [rows][weights.outputs()]; must not overlap x
        uint32_t rows = 0;             ///< M: 1 <= rows <= maxRows
        bool accumulate = false;       ///< adds to what y holds (a residual)
    };
    /// One dispatch a panel. Throws Error(InvalidArgument) when the arguments disagree with the plan.
    void record(vk::Recorder& recorder, const Args& args) const;

    /// The shader that maxRows rows run.
    std::string_view module() const { return tileFor(maxRows_).shape.module; }
    /// The tile that so many rows run.
    const LinearTile& tile(uint32_t rows) const { return tileFor(rows).shape; }

  private:
    struct Tile {
        LinearTile shape;
        const vk::Pipeline* pipeline = nullptr;
        bool texel = false;  ///< reads through texel buffers
    };
    void addTile(vk::PipelineLibrary& library, const vk::CapabilitySet& usable, const LinearTile& shape);
    void addGemv(vk::PipelineLibrary& library, const vk::CapabilitySet& usable, const LinearTile& shape);
    const Tile& tileFor(uint32_t rows) const;

    const vk::Device& device_;
    LinearSize size_;
    WeightOrder order_ = WeightOrder::Lanes;
    uint32_t maxRows_ = 0;
    std::vector<Tile> tiles_;
};

}  // namespace vulcat::kernels
