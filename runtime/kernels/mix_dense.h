#pragma once
// Mixes the width of each row by a small orthogonal matrix C [m, m]:
//   y[(o m + i) s + r] = sum_j C[i][j] x[(o m + j) s + r],  width = outer m s.

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::kernels {

class MixDense {
  public:
    struct Args {
        vk::BufferView x;       ///< [rows, width] float32
        vk::BufferView matrix;  ///< what layOut() returned
        vk::BufferView y;       ///< [rows, width] float32, written; must not overlap x
        uint32_t rows = 0;
    };

    /// order * stride divides width.
    MixDense(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width,
             uint32_t order, uint32_t stride);

    void record(vk::Recorder& recorder, const Args& args) const;

    /// C [order, order] row-major to the order the shader reads: [j][i], i padded with zeros to a multiple of 8.
    static std::vector<float> layOut(uint32_t order, std::span<const float> matrix);

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        uint32_t rows = 1;  ///< of x a workgroup takes
    };

    const vk::Device& device_;
    uint32_t width_;
    uint32_t order_;
    uint32_t stride_;
    uint32_t localSize_;
    uint32_t columns_ = 1;  // neighbours a lane owns
    Tile one_;   // a single row
    Tile many_;  // several rows share each matrix element
};

}  // namespace vulcat::kernels
