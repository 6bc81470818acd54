#pragma once
// The whole input of a site in one dispatch, a workgroup a row: source (rows, RMSNorm or SwiGLU), block transform, mix,
// quantiser. Codes are those of the single kernels one after the other, on CPU drivers bit for bit; a GPU may add a norm's squares
// in another order. A small model spends most of its time in starting dispatches, and this starts one instead of four to six.
//
// A row is one workgroup's work, so it pays where a row is short or a workgroup is all a core runs at a time; see
// preferred().

#include "kernels/quantise_rows.h"

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vulcat::kernels {

enum class SiteSource : uint32_t { Rows, Norm, SwiGlu };  ///< the numbers of shaders/interface/row_kernels.h

struct SiteCodesShape {
    uint32_t width = 0;  ///< K
    SiteSource source = SiteSource::Rows;
    float epsilon = 0;       ///< of the norm
    uint32_t block = 0;      ///< of the block transform; 0: none
    uint32_t mixCore = 1;    ///< order of the dense mix; 1: none
    uint32_t mixStride = 1;  ///< of the dense mix; the Hadamard mix follows at mixStride * mixCore
    uint32_t mixOrder = 1;   ///< order of the Hadamard mix, a power of two; 1: none
    ActivationFormat format;

    bool operator==(const SiteCodesShape&) const = default;

    /// Throws Error(InvalidArgument) when the mix does not divide the width.
    void requireWhole() const;
    uint64_t sourceWidth() const;  ///< floats of a row of x
    uint64_t floatCount() const;   ///< of SiteCodes::layOut()
};

class SiteCodes {
  public:
    struct Args {
        vk::BufferView x;       ///< float [rows][K]; SwiGlu: [rows][2K], a row's gates and then its ups
        vk::BufferView floats;  ///< what layOut() returned
        vk::BufferView blocks;  ///< BlockTransform::layOut(); empty without a block transform
        const QuantisedRows& out;
        uint32_t rows = 0;  ///< 1 <= rows <= out.rows()
    };

    /// Whether the device has the shared memory for it, and the blocks do not lie in the order of words.
    static bool fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape);

    /// Precondition: fits(). Throws Error(InvalidArgument) when the mix does not divide the width.
    SiteCodes(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
              const SiteCodesShape& shape);

    void record(vk::Recorder& recorder, const Args& args) const;

    /// True when one dispatch is expected to be faster than single kernels for so many rows.
    bool preferred(uint32_t rows) const;

    /// gamma [K] (norm only) and the mix's matrix [core, core] row-major (mixCore > 1 only) in the shader's order;
    /// never empty. Throws Error(InvalidArgument) when a size disagrees with the shape.
    static std::vector<float> layOut(const SiteCodesShape& shape, std::span<const float> gamma,
                                     std::span<const float> matrix);

  private:
    const vk::Device& device_;
    SiteCodesShape shape_;
    const vk::Pipeline* pipeline_ = nullptr;
};

}  // namespace vulcat::kernels
