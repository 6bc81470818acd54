#pragma once
// Small constant arrays to the GPU: norms, transforms.

#include "layers/engine.h"

#include <cstdint>
#include <span>

namespace vulcat::layers {

/// Allocates from the sink's arena and hands the bytes to its uploader; usable after uploader.finish().
vk::BufferView uploadWords(WeightSink& sink, std::span<const uint32_t> words);
vk::BufferView uploadFloats(WeightSink& sink, std::span<const float> values);

/// Words of zeros, there when it returns.
vk::BufferView allocateZeros(const Engine& engine, vk::Arena& arena, uint64_t sizeBytes);

}  // namespace vulcat::layers
