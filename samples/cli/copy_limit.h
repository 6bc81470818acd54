#pragma once
// How fast a device moves memory: much of it at once, and as little as a kernel moves. The yardsticks of kernels that memory
// bounds.

#include "cli/stopwatch.h"

#include "vk/memory.h"
#include "vk/pipeline_library.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace vulcat::cli {

class CopyLimit {
  public:
    /// Takes memory on the device, several times what a cache holds.
    CopyLimit(vk::Device& device, vk::PipelineLibrary& library, Stopwatch& watch);

    uint64_t bytes() const { return from_.size; }  ///< of the large copies
    /// A copy of bytes() by the device's own command, and by a shader: the command of some GPUs is slow.
    Timing byCommand(double seconds);
    Timing byShader(double seconds);

    /// Seconds of one dispatch that reads half of `bytes` and writes the other half, behind a barrier; `cold`: memory that no
    /// cache holds, else the same each time. CPUs, on which shaders copy slowly, dispatch a workgroup and copy the rest by the
    /// command. Measured once for sizes within 3 %.
    double secondsOf(uint64_t bytes, bool cold);

  private:
    struct Measured {
        uint64_t bytes = 0;
        bool cold = false;
        double seconds = 0;
    };

    uint64_t part() const;  ///< bytes of a workgroup
    void record(vk::Recorder& recorder, uint64_t at, uint64_t bytes) const;

    vk::Device& device_;
    Stopwatch& watch_;
    uint32_t lanes_;
    const vk::Pipeline& pipeline_;
    vk::Arena arena_;
    vk::BufferView from_, to_;
    std::vector<Measured> measured_;
};

}  // namespace vulcat::cli
