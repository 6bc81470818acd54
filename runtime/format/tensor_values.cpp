#include "base/error.h"
#include "format/half.h"
#include "format/safetensors.h"

#include <cassert>
#include <algorithm>
#include <cmath>
#include <cstring>

namespace vulcat::format {

namespace {

[[noreturn]] void fail(const TensorView& tensor, const std::string& what) {
    throw Error(Result::InvalidFile, "tensor " + std::string(tensor.name) + " " + what);
}

std::string shapeText(std::span<const uint64_t> shape) {
    std::string text = "[";
    for (const uint64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
    return text + "]";
}

template <class T>
T load(const std::byte* address, uint64_t index) {
    T value;
    std::memcpy(&value, address + index * sizeof(T), sizeof(T));
    return value;
}

template <class T>
std::vector<T> copyAs(const TensorView& tensor, DType dtype) {
    requireDType(tensor, dtype);
    std::vector<T> values(tensor.elements());
    if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
}

}  // namespace

void toFloat(const TensorView& tensor, uint64_t begin, std::span<float> out) {
    assert(begin <= tensor.elements() && out.size() <= tensor.elements() - begin);
    const std::byte* from = tensor.bytes.data() + begin * dtypeBytes(tensor.dtype);
    switch (tensor.dtype) {
        case DType::F32:
            if (!out.empty()) std::memcpy(out.data(), from, out.size_bytes());
            return;
        case DType::F16:
            for (size_t i = 0; i < out.size(); ++i) out[i] = halfToFloat(load<uint16_t>(from, i));
            return;
        case DType::BF16:
            for (size_t i = 0; i < out.size(); ++i) out[i] = bfloat16ToFloat(load<uint16_t>(from, i));
            return;
        default:
            fail(tensor, "has dtype " + std::string(dtypeName(tensor.dtype)) + " where F32, F16 or BF16 is needed");
    }
}

void toFloat(const TensorView& tensor, std::span<float> out) {
    toFloat(tensor, 0, out);
}

std::vector<float> toFloat(const TensorView& tensor) {
    std::vector<float> values(tensor.elements());
    toFloat(tensor, values);
    return values;
}

std::vector<int32_t> toInt32(const TensorView& tensor) {
    return copyAs<int32_t>(tensor, DType::I32);
}

std::vector<uint16_t> toHalfBits(const TensorView& tensor) {
    return copyAs<uint16_t>(tensor, DType::F16);
}

void requireFinite(const TensorView& tensor) {
    std::vector<float> part(std::min<uint64_t>(tensor.elements(), 65'536));
    for (uint64_t begin = 0; begin < tensor.elements(); begin += part.size()) {
        const std::span<float> values(part.data(), std::min<uint64_t>(part.size(), tensor.elements() - begin));
        toFloat(tensor, begin, values);
        for (size_t i = 0; i < values.size(); ++i) {
            if (!std::isfinite(values[i])) {
                fail(tensor, "holds a NaN or infinity at element " + std::to_string(begin + i) +
                                 "; the file is damaged or its training diverged");
            }
        }
    }
}

void requireShape(const TensorView& tensor, std::initializer_list<uint64_t> shape) {
    const std::span<const uint64_t> wanted(shape.begin(), shape.size());
    if (!std::equal(wanted.begin(), wanted.end(), tensor.shape.begin(), tensor.shape.end())) {
        fail(tensor, "has shape " + shapeText(tensor.shape) + " where " + shapeText(wanted) + " is needed");
    }
}

void requireDType(const TensorView& tensor, DType dtype) {
    if (tensor.dtype == dtype) return;
    fail(tensor, "has dtype " + std::string(dtypeName(tensor.dtype)) + " where " + std::string(dtypeName(dtype)) +
                     " is needed");
}

}  // namespace vulcat::format
