#pragma once
// Dense mix, Hadamard mix and quantiser of a site in one dispatch, a workgroup a row: what MixDense, MixHadamard and
// QuantiseRows do one after the other (their headers hold the formulas), with nothing but codes stored.

#include "kernels/quantise_rows.h"

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

struct MixCodesShape {
    uint32_t width = 0;   ///< K
    uint32_t core = 1;    ///< order of the dense mix; 1: none
    uint32_t stride = 1;  ///< of the dense mix; the Hadamard mix follows at stride * core
    uint32_t order = 1;   ///< of the Hadamard mix, a power of two; 1: none
    ActivationFormat format;
};

class MixCodes {
  public:
    struct Args {
        vk::BufferView x;       ///< float [rows][K]
        vk::BufferView matrix;  ///< MixDense::layOut(); empty without a dense mix
        const QuantisedRows& out;
        uint32_t rows = 0;  ///< 1 <= rows <= out.rows()
    };

    /// Whether the shape suits tiles of lib/tile_codes.glsl with so many lanes.
    static bool takes(const MixCodesShape& shape, uint32_t lanes);
    /// Outputs of the dense mix in a tile, TILE of lib/tile_codes.glsl.
    static uint32_t tileOutputs(const MixCodesShape& shape);
    /// Whether there is such a kernel for the device and the shape: elsewhere single kernels are faster.
    static bool fits(const vk::Device& device, const vk::CapabilitySet& allowed, const MixCodesShape& shape);

    /// Precondition: fits(). Throws Error(InvalidArgument) when the mix does not divide the width.
    MixCodes(vk::Device& device, vk::PipelineLibrary& library, const MixCodesShape& shape);

    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const vk::Device& device_;
    MixCodesShape shape_;
    const vk::Pipeline* pipeline_ = nullptr;
};

}  // namespace vulcat::kernels
