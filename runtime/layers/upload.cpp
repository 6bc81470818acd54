#include "layers/upload.h"

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

}  // namespace vulcat::layers
