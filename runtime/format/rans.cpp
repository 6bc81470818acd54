#include "format/rans.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace vulcat::format {

namespace {

constexpr uint32_t kScaleBits = 14;
constexpr uint32_t kScale = 1u << kScaleBits;
constexpr uint32_t kLowState = 1u << 16;  ///< states stay in [2^16, 2^32)
constexpr size_t kLanes = 4;
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 24;

// Quarter octaves of sigma: tables for 2^-3 .. 2^3.5, wider ones with up to 12 plain bits.
constexpr int kFirstQuarter = -12;
constexpr int kLastTable = 14;
constexpr int kTables = kLastTable - kFirstQuarter + 1;
constexpr int kMaxPlainBits = 12;
constexpr int kBuckets = kTables + 4 * kMaxPlainBits;
constexpr uint32_t kEscapeBits = 16;

/// exp(-y) for y >= 0 from multiplications and additions only, the same on every machine.
double decay(double y) {
    int halvings = 0;
    for (; y > 0.0625; y *= 0.5) ++halvings;
    double term = 1;
    double sum = 1;
    for (int i = 1; i <= 8; ++i) {
        term *= -y / i;
        sum += term;
    }
    for (; halvings > 0; --halvings) sum *= sum;
    return sum;
}

double quarterOctave(int quarter) {
    constexpr std::array<double, 4> kRoots{1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429};
    const int octave = (quarter + 4 * 64) / 4 - 64;
    return std::ldexp(kRoots[static_cast<size_t>(quarter - 4 * octave)], octave);
}

/// P(round(N(0, sigma^2)) = z) by Simpson's rule.
double cellProbability(int z, double sigma) {
    constexpr int kSteps = 64;
    constexpr double kDensity = 0.3989422804014327;
    double sum = 0;
    for (int i = 0; i <= kSteps; ++i) {
        const double x = (z - 0.5 + static_cast<double>(i) / kSteps) / sigma;
        sum += decay(0.5 * x * x) * (i == 0 || i == kSteps ? 1 : (i % 2 == 1 ? 4 : 2));
    }
    return sum * kDensity / (3 * kSteps * sigma);
}

uint32_t read32(std::span<const std::byte> bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value |= std::to_integer<uint32_t>(bytes[at + i]) << (8 * i);
    return value;
}

void append32(std::vector<std::byte>& bytes, uint32_t value) {
    for (uint32_t i = 0; i < 4; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

[[noreturn]] void damaged(const std::string& what) {
    throw Error(Result::InvalidFile, "entropy-coded weights are damaged: " + what + "; bake the model again");
}

}  // namespace

/// Symbols 0..2*reach are the values -reach..reach, symbol 2*reach + 1 is the escape.
struct ColumnModels::Table {
    int32_t reach = 0;
    std::vector<uint16_t> frequency;
    std::vector<uint16_t> start;
    std::vector<float> bits;
    std::array<uint8_t, kScale> symbolOfSlot{};

    explicit Table(double sigma);
    size_t escape() const { return frequency.size() - 1; }
    size_t symbol(int32_t value) const {
        return value < -reach || value > reach ? escape() : static_cast<size_t>(value + reach);
    }
};

ColumnModels::Table::Table(double sigma) : reach(static_cast<int32_t>(5.5 * sigma) + 2) {
    // Every symbol gets at least one slot; what rounding leaves over or lacks is the most frequent symbol's, the
    // zero's.
    uint32_t used = 0;
    for (int32_t value = -reach; value <= reach; ++value) {
        const double slots = cellProbability(value, sigma) * kScale;
        frequency.push_back(static_cast<uint16_t>(std::clamp(slots + 0.5, 1.0, kScale - 1.0)));
        used += frequency.back();
    }
    frequency.push_back(1);
    used += 1;
    uint16_t& zero = frequency[static_cast<size_t>(reach)];
    zero = static_cast<uint16_t>(zero + kScale - used);
    uint32_t slot = 0;
    for (size_t symbol = 0; symbol < frequency.size(); ++symbol) {
        start.push_back(static_cast<uint16_t>(slot));
        bits.push_back(static_cast<float>(kScaleBits - std::log2(static_cast<double>(frequency[symbol]))));
        for (uint32_t i = 0; i < frequency[symbol]; ++i) symbolOfSlot[slot++] = static_cast<uint8_t>(symbol);
    }
    bits.back() += kEscapeBits;
}

ColumnModels::ColumnModels() {
    tables_.reserve(kTables);
    for (int quarter = kFirstQuarter; quarter <= kLastTable; ++quarter) tables_.emplace_back(quarterOctave(quarter));
}
ColumnModels::~ColumnModels() = default;

int ColumnModels::bucketCount() {
    return kBuckets;
}
double ColumnModels::sigma(uint8_t bucket) {
    return quarterOctave(kFirstQuarter + bucket - 1);
}

const ColumnModels::Table& ColumnModels::table(uint8_t bucket, int& plainBits) const {
    const int index = bucket - 1;
    plainBits = index < kTables ? 0 : (index - kTables) / 4 + 1;
    return tables_[static_cast<size_t>(index - 4 * plainBits)];
}

namespace {
/// A code is coarse * 2^plainBits + plain - 2^(plainBits-1) with 0 <= plain < 2^plainBits: cells centred on multiples.
int32_t coarse(int32_t code, int plainBits) {
    return (code + (1 << plainBits >> 1)) >> plainBits;
}
uint32_t plain(int32_t code, int plainBits) {
    return static_cast<uint32_t>(code + (1 << plainBits >> 1)) & ((1u << plainBits) - 1);
}
}  // namespace

double ColumnModels::bits(uint8_t bucket, int32_t code) const {
    int plainBits = 0;
    const Table& model = table(bucket, plainBits);
    return static_cast<double>(model.bits[model.symbol(coarse(code, plainBits))]) + plainBits;
}

ColumnModels::Choice ColumnModels::choose(std::span<const int32_t> column) const {
    double squares = 0;
    int32_t low = 0;
    int32_t high = 0;
    for (const int32_t code : column) {
        low = std::min(low, code);
        high = std::max(high, code);
        squares += static_cast<double>(code) * static_cast<double>(code);
    }
    if (low < -kMaxCode || high > kMaxCode)
        throw Error(Result::InvalidArgument, "a code is beyond 32767 and cannot be coded; raise the step or clip");
    if (low == 0 && high == 0) return {};
    std::vector<uint32_t> histogram(static_cast<size_t>(high - low) + 1);
    for (const int32_t code : column) ++histogram[static_cast<size_t>(code - low)];

    const double deviation = std::sqrt(squares / static_cast<double>(column.size()));
    const int middle = static_cast<int>(std::lround(4 * std::log2(deviation))) - kFirstQuarter + 1;
    // Rounding, zeros and tails move the best width away from the deviation by an octave at most.
    const int last = std::clamp(middle + 4, 1, kBuckets);
    Choice best{0, 0};
    for (int bucket = std::clamp(middle - 4, 1, kBuckets); bucket <= last; ++bucket) {
        double total = 0;
        for (size_t i = 0; i < histogram.size(); ++i)
            if (histogram[i] != 0)
                total += histogram[i] * bits(static_cast<uint8_t>(bucket), low + static_cast<int32_t>(i));
        if (best.bucket == 0 || total < best.bits) best = {static_cast<uint8_t>(bucket), total};
    }
    return best;
}

/// Codes are pushed from the last to the first; the words come out in the decoder's order at the end.
class ChunkEncoder {
  public:
    explicit ChunkEncoder(const ColumnModels& models) : models_(models) { states_.fill(kLowState); }

    void push(size_t lane, uint8_t bucket, int32_t code) {
        int plainBits = 0;
        const ColumnModels::Table& model = models_.table(bucket, plainBits);
        if (plainBits > 0) pushPlain(lane, static_cast<uint32_t>(plainBits), plain(code, plainBits));
        const int32_t value = coarse(code, plainBits);
        const size_t symbol = model.symbol(value);
        if (symbol == model.escape())
            pushPlain(lane, kEscapeBits, static_cast<uint32_t>(value) & ((1u << kEscapeBits) - 1));
        const uint32_t frequency = model.frequency[symbol];
        uint32_t& x = states_[lane];
        if (x >= uint64_t{frequency} << (32 - kScaleBits)) shiftOut(x);
        x = ((x / frequency) << kScaleBits) + x % frequency + model.start[symbol];
    }

    /// Appends states and words; returns the number of words.
    uint32_t finish(std::vector<std::byte>& bytes) {
        for (const uint32_t x : states_) append32(bytes, x);
        for (auto word = words_.rbegin(); word != words_.rend(); ++word) {
            bytes.push_back(static_cast<std::byte>(*word & 0xFFu));
            bytes.push_back(static_cast<std::byte>(*word >> 8));
        }
        return static_cast<uint32_t>(words_.size());
    }

  private:
    void pushPlain(size_t lane, uint32_t count, uint32_t value) {
        uint32_t& x = states_[lane];
        if (x >= uint64_t{1} << (32 - count)) shiftOut(x);
        x = (x << count) | value;
    }
    void shiftOut(uint32_t& x) {
        words_.push_back(static_cast<uint16_t>(x & 0xFFFFu));
        x >>= 16;
    }

    const ColumnModels& models_;
    std::array<uint32_t, kLanes> states_;
    std::vector<uint16_t> words_;
};

std::vector<std::byte> encodeMatrix(std::span<const int32_t> codes, uint32_t rows, uint32_t columns,
                                    const ColumnModels& models, uint32_t rowsPerChunk) {
    if (codes.size() != uint64_t{rows} * columns)
        throw Error(Result::InvalidArgument, "codes to be entropy-coded are not rows * columns many");
    if (rowsPerChunk == 0) rowsPerChunk = (65536 / std::max(columns, 1u) + 16) / 16 * 16;
    std::vector<uint8_t> buckets(columns);
    std::vector<int32_t> column(rows);
    for (uint32_t c = 0; c < columns; ++c) {
        for (uint32_t r = 0; r < rows; ++r) column[r] = codes[uint64_t{r} * columns + c];
        buckets[c] = models.choose(column).bucket;
    }

    std::vector<std::byte> bytes;
    for (const char letter : {'V', 'R', 'N', 'S'}) bytes.push_back(static_cast<std::byte>(letter));
    const uint32_t chunks = rows / rowsPerChunk + (rows % rowsPerChunk != 0 ? 1 : 0);
    for (const uint32_t field : {kVersion, rows, columns, rowsPerChunk, chunks}) append32(bytes, field);
    for (const uint8_t bucket : buckets) bytes.push_back(static_cast<std::byte>(bucket));
    while (bytes.size() % 4 != 0) bytes.push_back(std::byte{0});

    std::vector<std::byte> payload;
    for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
        const uint32_t first = chunk * rowsPerChunk;
        ChunkEncoder encoder(models);
        for (uint32_t c = columns; c-- > 0;) {
            if (buckets[c] == 0) continue;
            for (uint32_t r = std::min(rowsPerChunk, rows - first); r-- > 0;)
                encoder.push(r % kLanes, buckets[c], codes[uint64_t{first + r} * columns + c]);
        }
        append32(bytes, encoder.finish(payload));
    }
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

CodedMatrix::CodedMatrix(std::span<const std::byte> bytes, const ColumnModels& models)
    : models_(models), bytes_(bytes) {
    if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), "VRNS", 4) != 0) damaged("no VRNS header");
    if (read32(bytes, 4) != kVersion)
        throw Error(Result::Unsupported, "entropy-coded weights are of version " + std::to_string(read32(bytes, 4)) +
                                             "; this vulcat reads version 1");
    rows_ = read32(bytes, 8);
    columns_ = read32(bytes, 12);
    rowsPerChunk_ = read32(bytes, 16);
    const uint64_t chunks = read32(bytes, 20);
    if (rowsPerChunk_ == 0 || chunks != (uint64_t{rows_} + rowsPerChunk_ - 1) / rowsPerChunk_)
        damaged("chunks do not cover the rows");
    const uint64_t sizesAt = (kHeaderBytes + uint64_t{columns_} + 3) / 4 * 4;
    const uint64_t payloadAt = sizesAt + 4 * chunks;
    if (payloadAt > bytes.size()) damaged("the tables are longer than the tensor");
    buckets_ = bytes.subspan(kHeaderBytes, columns_);
    for (const std::byte bucket : buckets_)
        if (std::to_integer<int>(bucket) > kBuckets) damaged("a column's width is none of the model's");
    offsets_.push_back(payloadAt);
    for (uint64_t chunk = 0; chunk < chunks; ++chunk)
        offsets_.push_back(offsets_.back() + 4 * kLanes + 2 * uint64_t{read32(bytes, sizesAt + 4 * chunk)});
    if (offsets_.back() != bytes.size()) damaged("chunk sizes do not add up to the tensor's");
}

uint32_t CodedMatrix::chunkRows(uint32_t chunk) const {
    const uint64_t first = uint64_t{chunk} * rowsPerChunk_;
    return static_cast<uint32_t>(std::min<uint64_t>(rowsPerChunk_, rows_ - first));
}

namespace {

/// The words of a chunk. Running out is remembered, not thrown, to keep the decoder's loop tight.
class Words {
  public:
    explicit Words(std::span<const std::byte> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
    uint32_t next() {
        if (at_ == end_) {
            ranOut_ = true;
            return 0;
        }
        const uint32_t word = std::to_integer<uint32_t>(at_[0]) | std::to_integer<uint32_t>(at_[1]) << 8;
        at_ += 2;
        return word;
    }
    void refill(uint32_t& x) {
        if (x < kLowState) x = (x << 16) | next();
    }
    uint32_t takePlain(uint32_t& x, uint32_t count) {
        const uint32_t value = x & ((1u << count) - 1);
        x >>= count;
        refill(x);
        return value;
    }
    bool exact() const { return !ranOut_ && at_ == end_; }

  private:
    const std::byte* at_;
    const std::byte* end_;
    bool ranOut_ = false;
};

}  // namespace

template <typename Code>
void CodedMatrix::decode(uint32_t chunk, std::span<Code> out) const {
    if (chunk >= chunks() || out.size() != uint64_t{chunkRows(chunk)} * columns_)
        throw Error(Result::InvalidArgument, "a chunk of coded weights was asked for that does not fit its place");
    const uint32_t rows = chunkRows(chunk);
    std::array<uint32_t, kLanes> states{};
    for (size_t lane = 0; lane < kLanes; ++lane) states[lane] = read32(bytes_, offsets_[chunk] + 4 * lane);
    const uint64_t wordsAt = offsets_[chunk] + 4 * kLanes;
    Words words(bytes_.subspan(wordsAt, offsets_[chunk + 1] - wordsAt));
    constexpr int32_t kLimit = sizeof(Code) == 1 ? 127 : kMaxCode;
    bool tooWide = false;

    for (uint32_t c = 0; c < columns_; ++c) {
        const uint8_t bucket = std::to_integer<uint8_t>(buckets_[c]);
        if (bucket == 0) {
            for (uint32_t r = 0; r < rows; ++r) out[uint64_t{r} * columns_ + c] = 0;
            continue;
        }
        int plainBits = 0;
        const ColumnModels::Table& model = models_.table(bucket, plainBits);
        const auto decodeOne = [&](uint32_t& x, uint32_t r) {
            const uint32_t slot = x & (kScale - 1);
            const size_t symbol = model.symbolOfSlot[slot];
            x = model.frequency[symbol] * (x >> kScaleBits) + slot - model.start[symbol];
            words.refill(x);
            int32_t value = static_cast<int32_t>(symbol) - model.reach;
            if (symbol == model.escape()) value = static_cast<int16_t>(words.takePlain(x, kEscapeBits));
            if (plainBits > 0)
                value = value * (1 << plainBits) - (1 << plainBits >> 1) +
                        static_cast<int32_t>(words.takePlain(x, static_cast<uint32_t>(plainBits)));
            tooWide |= value < -kLimit || value > kLimit;
            out[uint64_t{r} * columns_ + c] = static_cast<Code>(value);
        };
        uint32_t r = 0;
        for (; r + kLanes <= rows; r += kLanes)
            for (uint32_t lane = 0; lane < kLanes; ++lane) decodeOne(states[lane], r + lane);
        for (; r < rows; ++r) decodeOne(states[r % kLanes], r);
    }
    for (const uint32_t x : states)
        if (x != kLowState) damaged("a chunk does not end where it began");
    if (!words.exact()) damaged("a chunk is shorter or longer than its codes");
    if (tooWide) damaged("a code is outside the range of its type");
}

void CodedMatrix::decodeChunk(uint32_t chunk, std::span<int32_t> out) const {
    decode(chunk, out);
}
void CodedMatrix::decodeChunk(uint32_t chunk, std::span<int8_t> out) const {
    decode(chunk, out);
}

}  // namespace vulcat::format
