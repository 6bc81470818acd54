#include "format/quantised_matrix.h"

#include "base/error.h"
#include "base/processors.h"
#include "format/half.h"
#include "format/rans.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

namespace vulcat::format {

namespace {

[[noreturn]] void damaged(const TensorView& tensor, uint64_t row, const char* what) {
    throw Error(Result::InvalidFile,
                "tensor " + std::string(tensor.name) + ", row " + std::to_string(row) + ": " + what);
}

void readScales(const TensorView& tensor, QuantisedMatrix& matrix) {
    matrix.halfScales = tensor.dtype == DType::F16;
    if (!matrix.halfScales) requireDType(tensor, DType::F32);
    matrix.scales = toFloat(tensor);
    for (size_t i = 0; i < matrix.scales.size(); ++i) {
        const float scale = matrix.scales[i];
        // The comparison is false for NaN too. -0 would pass for 0, and denormals may be flushed by a GPU.
        const bool sane = scale > 0 ? std::isnormal(scale) : scale == 0 && !std::signbit(scale);
        if (!sane) damaged(tensor, i / matrix.groups(), "a scale that is not a positive normal number or zero");
    }
}

void readCodes(const TensorView& codes, const TensorView& sums, QuantisedMatrix& matrix) {
    const uint64_t rowBytes = packedRowBytes(matrix.columns, matrix.bits);
    const uint64_t groups = matrix.groups();
    matrix.codes.resize(matrix.rows * matrix.columns);
    std::vector<std::byte> repacked(rowBytes);
    std::vector<int32_t> rowSums(groups);
    for (uint64_t n = 0; n < matrix.rows; ++n) {
        const std::span<const std::byte> packed = codes.bytes.subspan(n * rowBytes, rowBytes);
        const std::span<int8_t> row(&matrix.codes[n * matrix.columns], matrix.columns);
        unpackRow(packed, matrix.bits, row);
        packRow(row, matrix.bits, repacked);
        if (!std::equal(packed.begin(), packed.end(), repacked.begin()))
            damaged(codes, n, "padding codes are not zero");
        sumCodes(row, matrix.groupSize, rowSums);
        if (!std::equal(rowSums.begin(), rowSums.end(), matrix.codeSums.begin() + static_cast<int64_t>(n * groups))) {
            damaged(sums, n, "not the sum of the codes; the file is damaged, calibrate again");
        }
    }
}

/// Chunks of this many codes each are worth a thread of their own.
constexpr uint64_t kCodesOfThread = uint64_t{1} << 21;

/// The tables of all models: constant, and too dear to make for each matrix.
const ColumnModels& columnModels() {
    static const ColumnModels models;
    return models;
}

void decodeChunks(const CodedMatrix& coded, std::span<int8_t> codes) {
    const uint64_t chunkCodes = uint64_t{coded.rowsPerChunk()} * coded.columns();
    const auto decode = [&](uint32_t first, uint32_t step) {
        for (uint32_t chunk = first; chunk < coded.chunks(); chunk += step)
            coded.decodeChunk(chunk,
                              codes.subspan(chunk * chunkCodes, uint64_t{coded.chunkRows(chunk)} * coded.columns()));
    };
    const uint64_t most = usableProcessors();
    const auto threads = static_cast<uint32_t>(std::clamp<uint64_t>(codes.size() / kCodesOfThread, 1, most));
    std::exception_ptr failure;
    std::mutex mutex;
    std::vector<std::jthread> others;
    const auto guarded = [&](uint32_t first) {
        try {
            decode(first, threads);
        } catch (...) {
            const std::lock_guard lock(mutex);
            failure = std::current_exception();
        }
    };
    for (uint32_t t = 1; t < threads; ++t) others.emplace_back(guarded, t);
    guarded(0);
    others.clear();
    if (failure) std::rethrow_exception(failure);
}

void readCoded(const TensorView& tensor, QuantisedMatrix& matrix) {
    requireDType(tensor, DType::U8);
    try {
        const CodedMatrix coded(tensor.bytes, columnModels());
        if (coded.rows() != matrix.rows || coded.columns() != matrix.columns)
            throw Error(Result::InvalidFile, "holds codes of another shape");
        matrix.codes.resize(matrix.rows * matrix.columns);
        decodeChunks(coded, matrix.codes);
    } catch (const Error& error) {
        throw Error(error.code(), "tensor " + std::string(tensor.name) + ": " + error.what());
    }
    matrix.codeSums.resize(matrix.rows);
    for (uint64_t n = 0; n < matrix.rows; ++n)
        sumCodes(std::span<const int8_t>(matrix.codes).subspan(n * matrix.columns, matrix.columns), 0,
                 std::span(matrix.codeSums).subspan(n, 1));
}

}  // namespace

std::vector<std::byte> QuantisedMatrix::packedCodes() const {
    const uint64_t rowBytes = packedRowBytes(columns, bits);
    std::vector<std::byte> packed(rows * rowBytes);
    for (uint64_t n = 0; n < rows; ++n) {
        packRow(std::span(codes).subspan(n * columns, columns), bits,
                std::span(packed).subspan(n * rowBytes, rowBytes));
    }
    return packed;
}

std::vector<float> QuantisedMatrix::dequantised() const {
    std::vector<float> values(codes.size());
    for (uint64_t i = 0; i < values.size(); ++i) {
        const uint64_t group = groupSize == 0 ? 0 : i % columns / groupSize;
        values[i] = scales[i / columns * groups() + group] * static_cast<float>(codes[i]);
    }
    return values;
}

std::vector<std::byte> entropyCoded(const QuantisedMatrix& matrix) {
    const std::vector<int32_t> codes(matrix.codes.begin(), matrix.codes.end());
    return encodeMatrix(codes, static_cast<uint32_t>(matrix.rows), static_cast<uint32_t>(matrix.columns),
                        columnModels());
}

std::vector<TensorSpec> quantisedMatrixSpecs(const std::string& prefix, const QuantisedMatrix& matrix,
                                             uint64_t codedBytes) {
    const DType scaleType = matrix.halfScales ? DType::F16 : DType::F32;
    if (matrix.coded)
        return {{prefix + ".coded", DType::U8, {codedBytes}}, {prefix + ".scales", scaleType, {matrix.rows, 1}}};
    return {{prefix + ".codes", DType::U8, {matrix.rows, packedRowBytes(matrix.columns, matrix.bits)}},
            {prefix + ".scales", scaleType, {matrix.rows, matrix.groups()}},
            {prefix + ".code_sums", DType::I32, {matrix.rows, matrix.groups()}}};
}

void writeQuantisedMatrix(SafetensorsWriter& writer, const std::string& prefix, const QuantisedMatrix& matrix) {
    if (matrix.coded) {
        writer.write(prefix + ".coded", entropyCoded(matrix));
    } else {
        writer.write(prefix + ".codes", matrix.packedCodes());
        writer.write(prefix + ".code_sums", std::span<const int32_t>(matrix.codeSums));
    }
    if (!matrix.halfScales) {
        writer.write(prefix + ".scales", std::span<const float>(matrix.scales));
        return;
    }
    std::vector<uint16_t> halves(matrix.scales.size());
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = floatToHalf(matrix.scales[i]);
    writer.write(prefix + ".scales", std::span<const uint16_t>(halves));
}

QuantisedMatrix readQuantisedMatrix(const TensorStore& store, std::string_view prefix, uint64_t rows, uint64_t columns,
                                    int bits, uint64_t groupSize, bool coded) {
    QuantisedMatrix matrix;
    matrix.rows = rows;
    matrix.columns = columns;
    matrix.bits = bits;
    matrix.groupSize = groupSize;
    matrix.coded = coded;
    const std::string name(prefix);
    if (coded) {
        requireShape(store.at(name + ".scales"), {rows, 1});
        readScales(store.at(name + ".scales"), matrix);
        readCoded(store.at(name + ".coded"), matrix);
        return matrix;
    }
    const TensorView& codes = store.at(name + ".codes");
    const TensorView& scales = store.at(name + ".scales");
    const TensorView& sums = store.at(name + ".code_sums");
    requireDType(codes, DType::U8);
    requireShape(codes, {rows, packedRowBytes(columns, bits)});
    requireShape(scales, {rows, matrix.groups()});
    requireShape(sums, {rows, matrix.groups()});
    readScales(scales, matrix);
    matrix.codeSums = toInt32(sums);
    readCodes(codes, sums, matrix);
    return matrix;
}

}  // namespace vulcat::format
