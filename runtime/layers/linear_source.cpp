#include "layers/linear_source.h"

#include "base/error.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vulcat::layers {
namespace {

using kernels::WeightFormat;

std::vector<float> readBias(const format::TensorStore& store, const format::LinearInfo& linear) {
    if (!linear.bias) return {};
    return readVector(store, linear.prefix + ".bias", linear.rows);
}

WeightFormat floatFormat(const format::TensorView& tensor) {
    switch (tensor.dtype) {
        case format::DType::F32:
            return WeightFormat::F32;
        case format::DType::F16:
            return WeightFormat::F16;
        case format::DType::BF16:
            return WeightFormat::BF16;
        default:
            break;
    }
    throw Error(Result::InvalidFile, "tensor " + std::string(tensor.name) + " has dtype " +
                                         std::string(format::dtypeName(tensor.dtype)) + ", expected F32, F16 or BF16");
}

}  // namespace

std::vector<float> readVector(const format::TensorStore& store, std::string_view name, uint64_t width) {
    const format::TensorView& tensor = store.at(name);
    format::requireShape(tensor, {width});
    format::requireFinite(tensor);
    return format::toFloat(tensor);
}

LinearSource::LinearSource(const format::TensorStore& store, std::span<const format::LinearInfo> linears,
                           int weightBits, int groupSize, bool coded) {
    shape_.inputs = static_cast<uint32_t>(linears.front().columns);
    shape_.groupSize = static_cast<uint32_t>(groupSize);
    if (weightBits == 16) {
        readFloats(store, linears);
    } else {
        readIntegers(store, linears, weightBits, coded);
    }
}

LinearSource::LinearSource(const format::QuantisedMatrix& matrix, std::vector<float> bias) {
    if (!bias.empty() && bias.size() != matrix.rows) {
        throw Error(Result::InvalidArgument, "a bias of " + std::to_string(bias.size()) + " values for " +
                                                 std::to_string(matrix.rows) + " outputs");
    }
    shape_.format = matrix.bits == 4 ? WeightFormat::Int4 : WeightFormat::Int8;
    shape_.inputs = static_cast<uint32_t>(matrix.columns);
    shape_.groupSize = static_cast<uint32_t>(matrix.groupSize);
    Part& part = parts_.emplace_back();
    part.rows = static_cast<uint32_t>(matrix.rows);
    part.packed = matrix.packedCodes();
    part.codes = part.packed;
    part.scales = matrix.scales;
    part.codeSums = matrix.codeSums;
    part.bias = std::move(bias);
}

void LinearSource::readIntegers(const format::TensorStore& store, std::span<const format::LinearInfo> linears, int bits,
                                bool coded) {
    shape_.format = bits == 4 ? WeightFormat::Int4 : WeightFormat::Int8;
    for (const format::LinearInfo& linear : linears) {
        format::QuantisedMatrix matrix = format::readQuantisedMatrix(store, linear.prefix, linear.rows, linear.columns,
                                                                     bits, shape_.groupSize, coded);
        Part& part = parts_.emplace_back();
        part.rows = static_cast<uint32_t>(linear.rows);
        if (coded) part.packed = matrix.packedCodes();
        part.codes = coded ? std::span<const std::byte>(part.packed) : store.at(linear.prefix + ".codes").bytes;
        part.scales = std::move(matrix.scales);
        part.codeSums = std::move(matrix.codeSums);
        part.bias = readBias(store, linear);
    }
}

void LinearSource::readFloats(const format::TensorStore& store, std::span<const format::LinearInfo> linears) {
    std::vector<const format::TensorView*> weights;
    for (const format::LinearInfo& linear : linears) {
        const format::TensorView& weight = store.at(linear.prefix + ".weight");
        format::requireShape(weight, {linear.rows, linear.columns});
        format::requireFinite(weight);
        weights.push_back(&weight);
    }
    shape_.groupSize = 0;
    shape_.format = floatFormat(*weights.front());
    const bool agree = std::all_of(weights.begin(), weights.end(), [&](const format::TensorView* weight) {
        return floatFormat(*weight) == shape_.format;
    });
    if (!agree) shape_.format = WeightFormat::F32;
    for (size_t i = 0; i < linears.size(); ++i) {
        Part& part = parts_.emplace_back();
        part.rows = static_cast<uint32_t>(linears[i].rows);
        part.bias = readBias(store, linears[i]);
        part.codes = weights[i]->bytes;
        if (!agree) {
            part.widened = format::toFloat(*weights[i]);
            part.codes = std::as_bytes(std::span<const float>(part.widened));
        }
    }
}

std::vector<kernels::LinearPart> LinearSource::parts() const {
    std::vector<kernels::LinearPart> result;
    for (const Part& part : parts_) {
        result.push_back({part.rows, part.codes, part.scales, part.codeSums, part.bias});
    }
    return result;
}

}  // namespace vulcat::layers
