#pragma once
// The weights of one linear layer, or of several stacked ones (q, k and v; gate and up), in GPU memory.
//
// Files hold rows (see the floor `format`); kernels want tiles in which neighbouring invocations read neighbouring
// words. R = lanes() rows make a tile, one row an invocation, and the K-inputs are cut into units of 128 bits:
//
//     codes       uvec4 [tiles][units][R]            tile t, invocation r: row R*t + r of the panel
//     parameters  uvec4 [pairs of tiles][groups + 1][R]
//                                                    {scale as float bits, sum of the group's codes} of the even tile,
//                                                    then of the odd one; the last slot is {bias as float bits, 0} of
//                                                    both
//
// tiles = ceil(rows of the panel / R); rows past the end hold zero weights with zero scales and biases. A unit holds
//
//     Int4   32 codes, 4 words of 8. Word = rotate16(packed) ^ 0x88888888, where `packed` is the portable word: nibbles
//            q + 8, unsigned, ordered from the low end K 2 6 3 7 0 4 1 5. So (word >> 4j) & 0x000F000F, j = 0..3, are
//            the pairs (low half, high half) K (2,0) (6,4) (3,1) (7,5), which one 32-bit multiplication by a pair of
//            activation bytes in the order (0,2) (4,6) (1,3) (5,7) turns into a sum of two products (bits 16..31).
//     Int8   16 codes, two's complement, byte j of word i is K-index 4i+j
//     F32    4 elements; F16, BF16: 8 elements, the lower K-index in the low half of a word
//
// That is the order of lanes. In the order of words, for loads at addresses that all lanes share, each word lies beside the
// same word of the other lanes: codes uint [tiles][units][4][R], parameters uint [pairs of tiles][groups + 1][4][R].
//
// units = Kp / (codes of a unit), Kp = K rounded up to 32; the padding is zero (Int4: nibble 8).
// Float formats have groups = 0: their only parameter is the bias.
//
// A matrix is split by rows into panels, since a buffer may be bound only up to maxStorageRange bytes (and read as a
// texel buffer only up to maxTexelElements units). Panels begin at multiples of R.

#include "vk/capabilities.h"
#include "vk/memory.h"
#include "vk/transfer.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vulcat::kernels {

enum class WeightFormat { Int4, Int8, F32, F16, BF16 };

/// The number that float_linear.comp and embedding.comp know a format by.
uint32_t shaderFormat(WeightFormat format);

enum class WeightOrder { Lanes, Words };  ///< of the words of a unit, see above

/// Where the words of a lane stand in a sequence of units, in words.
class LaneWords {
  public:
    LaneWords(WeightOrder order, uint32_t lane, uint32_t lanes)
        : unit_(size_t{lanes} * 4),
          first_(order == WeightOrder::Lanes ? size_t{lane} * 4 : lane),
          step_(order == WeightOrder::Lanes ? 1 : lanes) {}
    size_t operator()(uint32_t unit, uint32_t word) const { return unit * unit_ + first_ + word * step_; }

  private:
    size_t unit_, first_, step_;
};

/// What the layout depends on, besides the number of rows.
struct LinearShape {
    WeightFormat format = WeightFormat::Int4;
    uint32_t inputs = 0;     ///< K > 0
    uint32_t groupSize = 0;  ///< 0 (one scale a row), 32, 64 or 128; 0 for float formats

    bool isInteger() const { return format == WeightFormat::Int4 || format == WeightFormat::Int8; }
    uint32_t bits() const;                                               ///< of a weight: 4, 8, 16 or 32
    uint32_t paddedInputs() const { return (inputs + 31) / 32 * 32; }    ///< Kp
    uint32_t groups() const;                                             ///< 0 for float formats
    uint32_t units() const { return paddedInputs() / 32 * bits() / 4; }  ///< 128-bit words of a row
    uint64_t sourceRowBytes() const;                                     ///< bytes of a row in LinearPart::codes

    bool operator==(const LinearShape&) const = default;
};

/// One linear of a stack, in the portable layout of the files. The memory is only read while LinearWeights is built.
struct LinearPart {
    uint32_t rows = 0;
    std::span<const std::byte> codes;   ///< [rows][Kp * bits / 8] packed codes, the padding 0; float formats: [rows][K]
                                        ///< elements. Little endian, any alignment
    std::span<const float> scales;      ///< [rows][groups]; empty for float formats
    std::span<const int32_t> codeSums;  ///< [rows][groups]; empty for float formats
    std::span<const float> bias;        ///< [rows], or empty: zero
};

struct PanelRange {
    uint32_t rowBegin = 0;  ///< multiple of the lanes
    uint32_t rowCount = 0;
};

struct WeightPanel {
    uint32_t rowBegin = 0;  ///< first output column this panel computes
    uint32_t rowCount = 0;
    uint32_t tiles = 0;  ///< ceil(rowCount / lanes)
    vk::BufferView codes;
    vk::BufferView parameters;
    std::optional<vk::TexelView> codesTexel;  ///< both present when TEXEL was allowed, both absent otherwise
    std::optional<vk::TexelView> parametersTexel;
};

/// What splitPanels must respect; taken from the device's limits.
struct PanelLimits {
    uint64_t storageBytes = 0;   ///< most bytes of a bound range
    uint64_t texelElements = 0;  ///< most 128-bit words of a texel buffer; 0: no texel buffers are made
    uint32_t tiles = 65535;      ///< most tiles of a panel (workgroups of a dispatch)
};

/// Cuts `rows` rows into panels, as few and as long as the limits allow.
/// Throws Error(Unsupported) when not even one tile fits.
std::vector<PanelRange> splitPanels(const LinearShape& shape, uint32_t rows, uint32_t lanes, const PanelLimits& limits);

/// Whether kernels read at addresses that all lanes share.
bool readsWords(const vk::Device& device, const vk::CapabilitySet& allowed);

/// The order in which IntegerLinear reads weights with these capabilities, and that of FloatLinear and Embedding.
WeightOrder integerOrder(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearShape& shape);
WeightOrder floatOrder(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearShape& shape);

/// The words of `codes` for rows [rowBegin, rowBegin + rowCount) of the stack; pure. Size: tiles * units * lanes * 4.
/// Precondition: the parts are as large as `shape` says (LinearWeights checks), rowBegin + rowCount <= their rows.
std::vector<uint32_t> relayCodes(const LinearShape& shape, std::span<const LinearPart> parts, PanelRange rows,
                                 uint32_t lanes, WeightOrder order = WeightOrder::Lanes);

/// The words of `parameters` for the same rows; pure. Size: ceil(tiles / 2) * (groups + 1) * lanes * 4.
std::vector<uint32_t> relayParameters(const LinearShape& shape, std::span<const LinearPart> parts, PanelRange rows,
                                      uint32_t lanes, WeightOrder order = WeightOrder::Lanes);

/// Owns nothing but texel views: the memory belongs to the arena, which must outlive it, as must the device.
class LinearWeights {
  public:
    /// Lays out and uploads the parts, stacked in their order; usable after uploader.finish().
    /// `allowed` narrows the capabilities (TEXEL: panels in the order of lanes get texel views where they fit).
    /// `order` is that of the kernel that will read them.
    /// Throws Error(InvalidArgument) naming the part when sizes disagree, Error(OutOfMemory) when memory runs out.
    LinearWeights(vk::Device& device, vk::Arena& arena, vk::Uploader& uploader, const vk::CapabilitySet& allowed,
                  const LinearShape& shape, std::span<const LinearPart> parts, WeightOrder order = WeightOrder::Lanes);

    const LinearShape& shape() const { return shape_; }
    WeightOrder order() const { return order_; }
    uint32_t outputs() const { return outputs_; }  ///< N of the whole stack: the row stride of y
    uint32_t lanes() const { return lanes_; }      ///< R
    std::span<const WeightPanel> panels() const { return panels_; }
    uint64_t sizeBytes() const { return sizeBytes_; }  ///< GPU memory of all panels

  private:
    LinearShape shape_;
    WeightOrder order_;
    uint32_t outputs_ = 0;
    uint32_t lanes_ = 0;
    uint64_t sizeBytes_ = 0;
    std::vector<WeightPanel> panels_;
};

}  // namespace vulcat::kernels
