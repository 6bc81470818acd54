#include "format/transform.h"

#include "base/error.h"
#include "format/hadamard.h"
#include "format/half.h"

#include <bit>
#include <cassert>
#include <cmath>

namespace vulcat::format {

namespace {

[[noreturn]] void badRecipe(std::string_view site, const std::string& what) {
    throw Error(Result::InvalidFile, "config.json: quantization_config: site " + std::string(site) + ": " + what);
}

std::string tensorName(std::string_view site, const char* part) {
    return std::string(site) + ".transform." + part;
}

// y = B x on one block of `n`.
template <class T>
void applyBlock(const uint16_t* block, uint64_t n, T* x, std::vector<T>& scratch) {
    scratch.assign(x, x + n);
    for (uint64_t i = 0; i < n; ++i) {
        T sum = 0;
        for (uint64_t j = 0; j < n; ++j) sum += static_cast<T>(halfToFloat(block[i * n + j])) * scratch[j];
        x[i] = sum;
    }
}

// The dense matrix on `order` elements that lie `stride` apart.
template <class T>
void applyCore(const std::vector<float>& matrix, uint64_t order, uint64_t stride, T* x, std::vector<T>& scratch) {
    scratch.resize(order);
    for (uint64_t j = 0; j < order; ++j) scratch[j] = x[j * stride];
    for (uint64_t i = 0; i < order; ++i) {
        T sum = 0;
        for (uint64_t j = 0; j < order; ++j) sum += static_cast<T>(matrix[i * order + j]) * scratch[j];
        x[i * stride] = sum;
    }
}

// The Sylvester-Hadamard matrix / sqrt(order) on `order` elements that lie `stride` apart.
template <class T>
void applyHadamard(uint64_t order, uint64_t stride, T* x) {
    for (uint64_t distance = 1; distance < order; distance *= 2) {
        for (uint64_t i = 0; i < order; ++i) {
            if ((i & distance) != 0) continue;
            T& low = x[i * stride];
            T& high = x[(i + distance) * stride];
            const T sum = low + high;
            high = low - high;
            low = sum;
        }
    }
    const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(order)));
    for (uint64_t i = 0; i < order; ++i) x[i * stride] *= scale;
}

}  // namespace

int Transform::mixPower() const {
    return std::countr_zero(mixOrder / mixCore);
}

Transform hadamardTransform(uint64_t width) {
    Transform transform;
    transform.width = width;
    setMix(transform, width, 1);
    return transform;
}

void setMix(Transform& transform, uint64_t order, uint64_t stride) {
    assert(order * stride != 0 && transform.width % (order * stride) == 0);
    transform.mixOrder = order;
    transform.mixStride = stride;
    transform.mixCore = static_cast<uint64_t>(factorOrder(static_cast<int>(order)).core);
    transform.mixMatrix.clear();
    if (transform.mixCore == 1) return;
    for (const double entry : orthogonalMix(static_cast<int>(transform.mixCore))) {
        transform.mixMatrix.push_back(static_cast<float>(entry));
    }
}

template <class T>
void applyTransform(const Transform& transform, std::span<T> x) {
    assert(x.size() == transform.width);
    std::vector<T> scratch;
    const uint64_t k = transform.block;
    for (uint64_t b = 0; b < transform.fullBlocks(); ++b) {
        applyBlock(&transform.blocks[b * k * k], k, &x[b * k], scratch);
    }
    const uint64_t tail = transform.tailWidth();
    if (tail != 0) applyBlock(transform.tail.data(), tail, &x[x.size() - tail], scratch);
    if (!transform.hasMix()) return;

    const uint64_t stride = transform.mixStride;
    const uint64_t core = transform.mixCore;
    const uint64_t fast = transform.mixOrder / core;
    for (uint64_t outer = 0; outer < x.size(); outer += transform.mixOrder * stride) {
        for (uint64_t r = 0; r < stride; ++r) {
            T* first = &x[outer + r];
            if (core > 1) {
                for (uint64_t high = 0; high < fast; ++high) {
                    applyCore(transform.mixMatrix, core, stride, first + high * core * stride, scratch);
                }
            }
            if (fast == 1) continue;
            for (uint64_t low = 0; low < core; ++low) applyHadamard(fast, stride * core, first + low * stride);
        }
    }
}

template void applyTransform<float>(const Transform&, std::span<float>);
template void applyTransform<double>(const Transform&, std::span<double>);

std::vector<double> transformMatrix(const Transform& transform) {
    const uint64_t n = transform.width;
    std::vector<double> matrix(n * n);
    std::vector<double> column(n);
    for (uint64_t j = 0; j < n; ++j) {
        column.assign(n, 0.0);
        column[j] = 1;
        applyTransform(transform, std::span<double>(column));
        for (uint64_t i = 0; i < n; ++i) matrix[i * n + j] = column[i];
    }
    return matrix;
}

std::vector<TensorSpec> transformSpecs(const std::string& site, const Transform& transform) {
    std::vector<TensorSpec> specs;
    const uint64_t k = transform.block;
    const uint64_t tail = transform.tailWidth();
    const uint64_t core = transform.mixCore;
    if (k != 0) specs.push_back({tensorName(site, "blocks"), DType::F16, {transform.fullBlocks(), k, k}});
    if (tail != 0) specs.push_back({tensorName(site, "tail"), DType::F16, {tail, tail}});
    if (core > 1) specs.push_back({tensorName(site, "mix"), DType::F32, {core, core}});
    return specs;
}

void writeTransform(SafetensorsWriter& writer, const std::string& site, const Transform& transform) {
    if (transform.block != 0) writer.write(tensorName(site, "blocks"), std::span<const uint16_t>(transform.blocks));
    if (transform.tailWidth() != 0) writer.write(tensorName(site, "tail"), std::span<const uint16_t>(transform.tail));
    if (transform.mixCore > 1) writer.write(tensorName(site, "mix"), std::span<const float>(transform.mixMatrix));
}

void requireTransformTensors(const TensorStore& store, std::string_view site, const SiteRecipe& recipe,
                             uint64_t width) {
    const auto block = static_cast<uint64_t>(recipe.block);
    const auto order = static_cast<uint64_t>(recipe.mixOrder);
    const auto stride = static_cast<uint64_t>(recipe.mixStride);
    if (block > width) badRecipe(site, "\"block\" exceeds the width " + std::to_string(width));
    if (order == 0 || stride == 0 || width % (order * stride) != 0) {
        badRecipe(site, "\"mix_order\" times \"mix_stride\" must divide the width " + std::to_string(width));
    }
    if (block != 0) {
        const TensorView& blocks = store.at(tensorName(site, "blocks"));
        requireDType(blocks, DType::F16);
        requireShape(blocks, {width / block, block, block});
        const uint64_t tail = width % block;
        if (tail != 0) {
            const TensorView& last = store.at(tensorName(site, "tail"));
            requireDType(last, DType::F16);
            requireShape(last, {tail, tail});
        }
    }
    const TensorView* mix = store.find(tensorName(site, "mix"));
    if (mix == nullptr) {
        if (!std::has_single_bit(order)) badRecipe(site, "\"mix_order\" needs the tensor .transform.mix");
        return;
    }
    requireDType(*mix, DType::F32);
    const uint64_t core = mix->shape.empty() ? 0 : mix->shape.front();
    requireShape(*mix, {core, core});
    if (core == 0 || order % core != 0 || !std::has_single_bit(order / core)) {
        badRecipe(site, "\"mix_order\" is not a power of two times the order of .transform.mix");
    }
}

Transform readTransform(const TensorStore& store, std::string_view site, const SiteRecipe& recipe, uint64_t width) {
    requireTransformTensors(store, site, recipe, width);
    Transform transform;
    transform.width = width;
    transform.block = static_cast<uint64_t>(recipe.block);
    transform.mixOrder = static_cast<uint64_t>(recipe.mixOrder);
    transform.mixStride = static_cast<uint64_t>(recipe.mixStride);
    const auto halves = [&](const char* part) {
        const TensorView& tensor = store.at(tensorName(site, part));
        requireFinite(tensor);
        return toHalfBits(tensor);
    };
    if (transform.hasBlocks()) transform.blocks = halves("blocks");
    if (transform.tailWidth() != 0) transform.tail = halves("tail");
    if (const TensorView* mix = store.find(tensorName(site, "mix")); mix != nullptr) {
        requireFinite(*mix);
        transform.mixCore = mix->shape.front();
        if (transform.mixCore > 1) transform.mixMatrix = toFloat(*mix);
    }
    return transform;
}

}  // namespace vulcat::format
