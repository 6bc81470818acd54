#pragma once
// Dynamic quantisation of activations, a scale for each row: the input of integer_linear.h.
//
// A quantised row is a header of four words {scale as float bits, zero point, sum of the codes, 0} and Kp / 4 words of
// int8 codes (byte j of word i is K-index 4i+j; the codes past K are 0). Rows follow each other without gaps.
// 4-bit activations are stored as bytes too, so that one integer kernel serves both widths.
// Formulas: format/quantise.h, whose functions are the CPU twins.

#include "vk/capabilities.h"
#include "vk/memory.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include "format/quantise.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace vulcat::kernels {

struct ActivationFormat {
    uint32_t bits = 8;      ///< 4 or 8
    bool symmetric = true;  ///< 8 bits are always symmetric

    bool operator==(const ActivationFormat&) const = default;
};

/// The number that the shaders know a format by. Throws Error(Unsupported) for a format that is none of a8, a4
/// symmetric, a4 asymmetric.
uint32_t formatConstant(const ActivationFormat& format);

/// GPU memory that holds up to `rows` quantised rows of K = `inputs`. Made when a plan is made.
/// The memory behind `storage` and the device must outlive it.
class QuantisedRows {
  public:
    static uint32_t rowWords(uint32_t inputs) { return 4 + (inputs + 31) / 32 * 8; }
    static uint64_t sizeBytes(uint32_t rows, uint32_t inputs) { return uint64_t{rows} * rowWords(inputs) * 4; }

    /// `storage` must be at least sizeBytes(rows, inputs) long, which must not exceed maxStorageRange, and aligned to
    /// storageAlignment. Throws Error(InvalidArgument) otherwise.
    QuantisedRows(vk::Device& device, const vk::CapabilitySet& allowed, vk::BufferView storage, uint32_t rows,
                  uint32_t inputs);

    const vk::BufferView& storage() const { return storage_; }
    const std::optional<vk::TexelView>& texel() const { return texel_; }
    uint32_t rows() const { return rows_; }
    uint32_t inputs() const { return inputs_; }

  private:
    vk::BufferView storage_;
    std::optional<vk::TexelView> texel_;
    uint32_t rows_ = 0;
    uint32_t inputs_ = 0;
};

/// The rows as they lie in GPU memory, [rows][rowWords(columns)].
std::vector<uint32_t> layOutRows(const format::QuantisedRows& rows);

class QuantiseRows {
  public:
    /// Throws Error(Unsupported) for a format that is none of a8, a4 symmetric, a4 asymmetric.
    QuantiseRows(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                 const ActivationFormat& format);

    struct Args {
        vk::BufferView x;          ///< float [rows][K]
        const QuantisedRows& out;  ///< K = out.inputs()
        uint32_t rows = 0;         ///< 1 <= rows <= out.rows()
    };
    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const vk::Device& device_;
    const vk::Pipeline& wide_;    // for K that is a multiple of 4
    const vk::Pipeline& narrow_;  // for any other
};

}  // namespace vulcat::kernels
