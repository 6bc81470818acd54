#include "layers/upload.h"

#include <algorithm>
#include <vector>

namespace vulcat::layers {
namespace {

template <class T>
vk::BufferView uploadSpan(WeightSink& sink, std::span<const T> values) {
    const vk::BufferView view = sink.arena.allocate(values.size_bytes());
    sink.uploader.write(view, values);
    return view;
}

}  // namespace

vk::BufferView uploadWords(WeightSink& sink, std::span<const uint32_t> words) {
    return uploadSpan(sink, words);
}

vk::BufferView uploadFloats(WeightSink& sink, std::span<const float> values) {
    return uploadSpan(sink, values);
}

vk::BufferView allocateZeros(const Engine& engine, vk::Arena& arena, uint64_t sizeBytes) {
    vk::Uploader uploader(engine.device, std::max<uint64_t>(sizeBytes, 8));
    WeightSink sink{arena, uploader};
    const std::vector<uint32_t> zeros(static_cast<size_t>(sizeBytes / sizeof(uint32_t)));
    const vk::BufferView view = uploadWords(sink, zeros);
    uploader.finish();
    return view;
}

}  // namespace vulcat::layers
