#include "format/quantised_matrix.h"

#include "base/error.h"
#include "format/half.h"

#include <algorithm>
#include <cmath>

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

std::vector<TensorSpec> quantisedMatrixSpecs(const std::string& prefix, const QuantisedMatrix& matrix) {
    return {{prefix + ".codes", DType::U8, {matrix.rows, packedRowBytes(matrix.columns, matrix.bits)}},
            {prefix + ".scales", matrix.halfScales ? DType::F16 : DType::F32, {matrix.rows, matrix.groups()}},
            {prefix + ".code_sums", DType::I32, {matrix.rows, matrix.groups()}}};
}

void writeQuantisedMatrix(SafetensorsWriter& writer, const std::string& prefix, const QuantisedMatrix& matrix) {
    writer.write(prefix + ".codes", matrix.packedCodes());
    writer.write(prefix + ".code_sums", std::span<const int32_t>(matrix.codeSums));
    if (!matrix.halfScales) {
        writer.write(prefix + ".scales", std::span<const float>(matrix.scales));
        return;
    }
    std::vector<uint16_t> halves(matrix.scales.size());
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = floatToHalf(matrix.scales[i]);
    writer.write(prefix + ".scales", std::span<const uint16_t>(halves));
}

QuantisedMatrix readQuantisedMatrix(const TensorStore& store, std::string_view prefix, uint64_t rows, uint64_t columns,
                                    int bits, uint64_t groupSize) {
    QuantisedMatrix matrix;
    matrix.rows = rows;
    matrix.columns = columns;
    matrix.bits = bits;
    matrix.groupSize = groupSize;
    const std::string name(prefix);
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
