#pragma once
// Block-diagonal dense transform of activations: x'[b k + i] = sum_j B[b][i][j] x[b k + j], float accumulation.
// K = blocks of k, the last one smaller where k does not divide K.

#include "kernels/linear_weights.h"

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::kernels {

class BlockTransform {
  public:
    struct Args {
        vk::BufferView x;       ///< [rows, width] float32; of a SwiGLU [rows, 2 width], a row's gates and then its ups
        vk::BufferView blocks;  ///< what layOut() returned
        vk::BufferView y;       ///< [rows, width] float32, written; must not overlap x
        uint32_t rows = 0;
    };

    /// 1 <= block; a block wider than `width` is one tail block. With swiGlu x' is the transform of silu(gate) * up.
    BlockTransform(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width,
                   uint32_t block, bool swiGlu = false);

    /// Whether a SwiGLU inside the transform is faster here than one before it.
    static bool takesSwiGlu(const vk::Device& device, const vk::CapabilitySet& allowed, uint32_t block);

    void record(vk::Recorder& recorder, const Args& args) const;

    /// The order of words in which it reads blocks with these capabilities.
    static WeightOrder order(const vk::Device& device, const vk::CapabilitySet& allowed, uint32_t width,
                             uint32_t block);

    /// fp16 bits of the full blocks [width/block, block, block] and of the tail [t, t], t = width % block, in the
    /// order the shader reads: [ceil(block/8)][width] of 8 consecutive j of output b*k+i, zeros past a block's end.
    /// In the order of words each word of `lanes` neighbouring outputs beside the others'.
    /// Throws Error(InvalidArgument) if a span's size disagrees with width and block.
    static std::vector<uint32_t> layOut(uint32_t width, uint32_t block, std::span<const uint16_t> blocks,
                                        std::span<const uint16_t> tail, WeightOrder order = WeightOrder::Lanes,
                                        uint32_t lanes = 1);

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        uint32_t rows = 1;     ///< of x a workgroup takes
        uint32_t columns = 1;  ///< outputs of a block an invocation computes
    };

    const vk::Device& device_;
    uint32_t width_;
    uint32_t block_;
    uint32_t lanes_;
    bool swiGlu_ = false;
    Tile one_;   // a single row
    Tile many_;  // several rows share each matrix element
};

}  // namespace vulcat::kernels
