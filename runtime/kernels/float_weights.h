#pragma once
// A float matrix W [N, K] on the GPU, as GemmW16A16 and Embedding read it: F32, F16 or BF16, split by rows into panels
// that each fit a storage range, and re-laid so that neighbouring lanes read neighbouring 16-byte words:
//   panel = [ceil(rows/R)][Kp/c][R] of 16 bytes, c = 4 floats or 8 halves; row n is lane n % R of tile n / R;
//   Kp = K rounded up to 32, the padding is zero.

#include "format/dtype.h"
#include "vk/device.h"
#include "vk/memory.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::kernels {

/// Rows of one tensor; several stacked parts make one matrix (q, k and v; gate and up).
struct FloatPart {
    uint32_t rows = 0;
    format::DType dtype = format::DType::F32;  ///< F32, F16 or BF16
    std::span<const std::byte> bytes;          ///< [rows, K] row-major, little endian, any alignment
    std::span<const float> bias;               ///< [rows] or empty; all parts have one or none has
};

/// Rows rowBegin .. rowBegin + rows - 1 re-laid as above; a pure function, for tests and uploads.
/// Parts of different dtypes are widened to F32, see commonDType().
std::vector<uint32_t> layOutFloatRows(std::span<const FloatPart> parts, uint32_t inputs, format::DType dtype,
                                      uint32_t rowBegin, uint32_t rows, uint32_t lanes);

/// The dtype in which stacked parts are stored: theirs if they agree, else F32.
format::DType commonDType(std::span<const FloatPart> parts);

class FloatWeights {
  public:
    struct Panel {
        uint32_t rowBegin = 0;
        uint32_t rows = 0;
        vk::BufferView words;  ///< the re-laid rows
        vk::BufferView bias;   ///< [rows] float32; zeros where the parts have none
    };

    /// Re-lays and uploads. The memory comes from `arena`, which must outlive this object; `parts` are read only here.
    /// lanes: R, a power of two; see defaultLocalSize().
    FloatWeights(vk::Device& device, vk::Arena& arena, vk::Uploader& uploader, std::span<const FloatPart> parts,
                 uint32_t inputs, uint32_t lanes);

    uint32_t outputs() const { return outputs_; }  ///< N, all parts together
    uint32_t inputs() const { return inputs_; }    ///< K
    uint32_t lanes() const { return lanes_; }      ///< R
    format::DType dtype() const { return dtype_; }
    bool hasBias() const { return hasBias_; }
    std::span<const Panel> panels() const { return panels_; }

  private:
    uint32_t outputs_ = 0;
    uint32_t inputs_ = 0;
    uint32_t lanes_ = 0;
    format::DType dtype_ = format::DType::F32;
    bool hasBias_ = false;
    std::vector<Panel> panels_;
};

}  // namespace vulcat::kernels
