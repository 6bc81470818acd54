#pragma once
// Fast Walsh-Hadamard transform along an axis of each row, Sylvester order, scaled to be orthogonal:
//   y[(o n + i) s + r] = 1/sqrt(n) sum_j (-1)^popcount(i & j) x[(o n + j) s + r],  width = outer n s, n = 2^a.
// Passes of radix 2 to 16 in registers, through memory: no shared memory, so any order runs on any device.

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <vector>

namespace vulcat::kernels {

class MixHadamard {
  public:
    struct Args {
        vk::BufferView x;  ///< [rows, width] float32
        vk::BufferView y;  ///< [rows, width] float32, written; either the same view as x or not overlapping it
        uint32_t rows = 0;
        /// Room for [rows, width] float32 apart from x and y, for passes that then need not work in place (which no
        /// texel buffer can); may be empty.
        vk::BufferView scratch = {};
    };

    /// order: a power of two >= 2; order * stride divides width.
    MixHadamard(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width,
                uint32_t order, uint32_t stride);

    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    struct Pass {
        const vk::Pipeline* pipeline = nullptr;
        const vk::Pipeline* texelPipeline = nullptr;  ///< for passes out of place; may be null
        uint32_t radix = 0;
        uint32_t stride = 0;
        uint32_t step = 1;  ///< neighbours an invocation takes at once: 4 where the stride allows it
        float scale = 1;
    };

    const vk::Device& device_;
    uint32_t width_;
    uint32_t localSize_;
    std::vector<Pass> passes_;
};

}  // namespace vulcat::kernels
