#pragma once
// The largest logits of a row on the device, in falling order and the lower index first among equals, so that a greedy
// or top-k token reads a few words back and not the whole vocabulary.

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

class TopLogits {
  public:
    /// Most logits that record() finds.
    static constexpr uint32_t kMostWanted = 128;

    struct Args {
        vk::BufferView logits;   ///< [count] float32
        vk::BufferView scratch;  ///< scratchBytes()
        vk::BufferView top;      ///< [wanted] of {index, bits of the logit}, written; a NaN comes before every number
        uint32_t wanted = 0;     ///< 1 <= wanted <= min(count, kMostWanted)
    };

    /// For rows of `count` logits, count >= 1.
    TopLogits(vk::Device& device, vk::PipelineLibrary& library, uint32_t count);

    uint64_t scratchBytes() const;

    /// Throws Error(InvalidArgument) when `wanted` is out of its range.
    void record(vk::Recorder& recorder, const Args& args) const;

    /// Whether it saves time here: a CPU driver's memory is the host's, and reading it costs nothing.
    static bool preferred(const vk::Device& device) { return device.info().type != vk::DeviceType::Cpu; }

  private:
    const vk::Pipeline* chunks_ = nullptr;
    const vk::Pipeline* merge_ = nullptr;
    uint32_t count_;
    uint32_t chunk_;
    uint32_t chunkCount_;
};

}  // namespace vulcat::kernels
