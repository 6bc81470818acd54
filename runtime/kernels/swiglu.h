#pragma once
// SwiGLU's elementwise half (Shazeer, arXiv:2002.05202): y = silu(gate) * up, silu(g) = g / (1 + exp(-g)).

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

class SwiGlu {
  public:
    struct Args {
        vk::BufferView gateUp;  ///< [rows, 2 F] float32: a row's gates, then its ups
        vk::BufferView y;       ///< [rows, F] float32, written; must not overlap gateUp
        uint32_t rows = 0;
    };

    SwiGlu(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width);

    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const vk::Device& device_;
    const vk::Pipeline* pipeline_ = nullptr;
    uint32_t width_;
    uint32_t localSize_;
};

}  // namespace vulcat::kernels
