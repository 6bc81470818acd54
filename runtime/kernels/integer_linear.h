#pragma once
// y = W x + b with integer weights (Int4 or Int8) and quantised activations (a4 or a8): GEMM and GEMV.
//
//     y[m,n] = s_x[m] * sum_g s_w[n,g] * (sum_{k in g} q[n,k] c[m,k] - z[m] * sum_{k in g} q[n,k]) + b[n]  (+ y[m,n])
//
// The sums over k are exact 32-bit integers (K < 132,000), the rest is float in this order: groups ascending, times
// s_x, plus bias, plus the old y. So outputs are equal bit for bit on every variant and device.
//
// Variants: BASE reads activations at workgroup-uniform addresses; SUBGROUP reads one vector an invocation and hands
// the words round by shuffles; SUBGROUP + TEXEL reads through texel buffers, which on llvmpipe is the faster path;
// DOT multiplies with integer dot products, for GPUs that accelerate them (then DOT is recommended), and with SUBGROUP and
// SCALARS loads activations once a subgroup, for AMD's compilers;
// SUBGROUP + ADDRESS reads at addresses that all lanes share, for newer llvmpipe, from weights in the order of words,
// which the other variants cannot read; SUBGROUP + QUADS does without shifts, for drivers without vector shifts
// (SwiftShader). SUBGROUP + I8 + COOPMAT adds tiles for many rows on cooperative matrices to the best of the others.

#include "kernels/linear_weights.h"
#include "kernels/quantise_rows.h"
#include "kernels/tuning.h"

#include "shaders/interface/integer_linear.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::kernels {

struct IntegerTile;

/// The push constants of integer_linear*.comp for a panel and all rows from the first on; x: quantised rows.
shaders::IntegerLinearPush linearPush(const vk::BufferView& x, const LinearWeights& weights, const WeightPanel& panel,
                                      const vk::BufferView& y, uint32_t rows, bool accumulate);

class IntegerLinear {
  public:
    /// Pipelines for weights of this size: for one row, and, when maxRows says that there are more, for several at
    /// once. Of the `tuned` tiles those that are allowed are used; where there is none, the table's with its costs.
    /// `splits`: subgroups that share K, in tiles that can; 0: as suits the device and the size.
    /// On a CPU any other number also asks for the matrix tiles of a GPU: for tests.
    /// Throws Error(Unsupported) for float weight formats or K >= 132,000.
    IntegerLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                  const LinearSize& size, uint32_t maxRows, std::span<const LinearTile> tuned = {},
                  uint32_t splits = 0);

    /// All tiles of use on the device within `allowed`, the lowest tier first. Their costs are the table's, which compare only
    /// within a variant.
    static std::vector<LinearTile> tiles(const vk::Device& device, const vk::CapabilitySet& allowed,
                                         const LinearSize& size, uint32_t maxRows);

    struct Args {
        const QuantisedRows& x;
        const LinearWeights& weights;  ///< of the constructor's shape
        vk::BufferView y;              ///< float [rows][weights.outputs()]
        uint32_t rows = 0;             ///< M: 1 <= rows <= min(maxRows, x.rows())
        bool accumulate = false;       ///< adds to what y holds (a residual)
    };
    /// One dispatch a panel. Throws Error(InvalidArgument) when the arguments disagree with the plan.
    void record(vk::Recorder& recorder, const Args& args) const;

    /// The shaders that maxRows rows run, without their tile.
    std::string_view module() const { return tileFor(maxRows_).tile.module; }
    /// The tile that so many rows run.
    LinearTile tile(uint32_t rows) const { return tileFor(rows).tile; }

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        LinearTile tile;
        uint32_t columns = 0;  ///< of y a workgroup computes
        bool texel = false;    ///< reads through texel buffers
    };
    void addTile(vk::PipelineLibrary& library, const IntegerTile& item, const LinearTile& tile);
    const Tile& tileFor(uint32_t rows) const;

    const vk::Device& device_;
    LinearShape shape_;
    WeightOrder order_ = WeightOrder::Lanes;
    uint32_t maxRows_ = 0;
    std::vector<Tile> tiles_;
};

}  // namespace vulcat::kernels
