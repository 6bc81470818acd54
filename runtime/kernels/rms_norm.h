#pragma once
// RMSNorm: y[m,k] = x[m,k] / sqrt(mean_k x[m,k]^2 + epsilon) * gamma[k] (Zhang and Sennrich, arXiv:1910.07467).

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

class RmsNorm {
  public:
    struct Args {
        vk::BufferView x;      ///< [rows, width] float32
        vk::BufferView gamma;  ///< [width] float32
        vk::BufferView y;      ///< [rows, width] float32, written; must not overlap x
        uint32_t rows = 0;
    };

    /// Any width >= 1; epsilon >= 0.
    RmsNorm(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed, uint32_t width,
            float epsilon);

    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const vk::Device& device_;
    const vk::Pipeline* pipeline_ = nullptr;
    uint32_t width_;
    float epsilon_;
};

}  // namespace vulcat::kernels
