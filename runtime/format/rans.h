#pragma once
// Entropy coding of integer codes whose columns are Gaussian with their own widths, as WaterSIC leaves them:
// interleaved rANS (Duda, arXiv 1311.2540) under one model a column, in chunks of rows that decode independently.
//
// Model: a column's codes are round(N(0, sigma^2)) with sigma = 2^(b/4); b is one byte a column. Probabilities are
// multiples of 2^-14, computed with additions and multiplications alone, so that every machine has the same tables.
// Codes beyond 5.5 sigma are an escape followed by 16 plain bits. Wide columns (sigma above 2^3.5) code the code's low
// bits plainly and the rest with a table.
//
// Bytes, little endian:
//   char[4] "VRNS" · u32 version 1 · u32 rows · u32 columns · u32 rowsPerChunk · u32 chunks = ceil(rows / rowsPerChunk)
//   u8 bucket[columns] (0: the whole column is 0 and costs nothing) · zero bytes up to a multiple of 4
//   u32 words[chunks]: 16-bit words of each chunk
//   the chunks: 4 final states (u32 each), then words as the decoder reads them
// Row r of a chunk belongs to state r % 4; columns follow one another. An altered chunk nearly
// always ends in other states than the four initial ones, runs out of words, or leaves some; only a changed plain bit
// of a wide column is read as another code.
//
// Needs nothing but base/error.h.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::format {

/// Codes that can be coded: -kMaxCode..kMaxCode.
inline constexpr int32_t kMaxCode = 32767;

/// The models of all widths. Immutable; takes milliseconds to make, so make one and share it.
class ColumnModels {
  public:
    ColumnModels();
    ~ColumnModels();
    ColumnModels(const ColumnModels&) = delete;
    ColumnModels& operator=(const ColumnModels&) = delete;

    struct Choice {
        uint8_t bucket = 0;  ///< 0: all codes are 0
        double bits = 0;     ///< what the column costs under that model, side information not counted
    };
    /// The model that codes the column in the fewest bits. Errors: InvalidArgument for codes beyond kMaxCode.
    Choice choose(std::span<const int32_t> column) const;

    /// Bits that one code costs. Precondition: 0 < bucket <= bucketCount(), |code| <= kMaxCode.
    double bits(uint8_t bucket, int32_t code) const;
    static int bucketCount();
    /// sigma of a bucket. Precondition: bucket > 0.
    static double sigma(uint8_t bucket);

  private:
    friend class ChunkEncoder;
    friend class CodedMatrix;
    struct Table;
    const Table& table(uint8_t bucket, int& plainBits) const;
    std::vector<Table> tables_;
};

/// Codes [rows, columns], row-major, as the bytes above. rowsPerChunk 0 chooses chunks of about 65,536 codes, for which
/// states and sizes cost 0.0025 bit a code. Errors: InvalidArgument for codes beyond kMaxCode or a wrong size.
std::vector<std::byte> encodeMatrix(std::span<const int32_t> codes, uint32_t rows, uint32_t columns,
                                    const ColumnModels& models, uint32_t rowsPerChunk = 0);

/// Reads such bytes, which may come from anywhere. Keeps views of `bytes` and `models`: both must outlive it. Const, so
/// any number of threads may decode chunks at once.
class CodedMatrix {
  public:
    /// Checks header and sizes. Errors: InvalidFile. Callers compare rows and columns with what they expect before they
    /// allocate: a few bytes can honestly stand for many zeros.
    CodedMatrix(std::span<const std::byte> bytes, const ColumnModels& models);

    uint32_t rows() const { return rows_; }
    uint32_t columns() const { return columns_; }
    uint32_t rowsPerChunk() const { return rowsPerChunk_; }
    uint32_t chunks() const { return static_cast<uint32_t>(offsets_.size() - 1); }
    /// Rows of a chunk: rowsPerChunk, fewer in the last.
    uint32_t chunkRows(uint32_t chunk) const;

    /// The codes of a chunk, [chunkRows, columns]; out.size() must be just that. The int8_t form is what the runtime
    /// multiplies. Errors: InvalidFile when the bytes are damaged or (int8_t) a code is outside -127..127;
    /// InvalidArgument for a wrong size or chunk. `out` is undefined after an error.
    void decodeChunk(uint32_t chunk, std::span<int32_t> out) const;
    void decodeChunk(uint32_t chunk, std::span<int8_t> out) const;

  private:
    template <typename Code>
    void decode(uint32_t chunk, std::span<Code> out) const;

    const ColumnModels& models_;
    std::span<const std::byte> bytes_;
    std::span<const std::byte> buckets_;
    uint32_t rows_ = 0;
    uint32_t columns_ = 0;
    uint32_t rowsPerChunk_ = 0;
    std::vector<uint64_t> offsets_;  ///< of each chunk in bytes_, and the end
};

}  // namespace vulcat::format
