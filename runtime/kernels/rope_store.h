#pragma once
// Rotates the query and key parts of fused qkv rows and files keys and values in the cache, one dispatch.
// Pairs are (i, i + headDim/2) of each head: Hugging Face's "half" order.

#include "vk/device.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

/// What a decoder's attention looks like; shared by RopeStore and Attention.
struct AttentionShape {
    uint32_t heads = 0;    ///< query heads H
    uint32_t kvHeads = 0;  ///< key and value heads Hk; divides H
    uint32_t headDim = 0;  ///< D, even

    /// Floats of one fused row: H queries, Hk keys, Hk values, D each.
    uint32_t qkvWidth() const { return (heads + 2 * kvHeads) * headDim; }
    /// Floats a token takes in the key cache, and again in the value cache.
    uint32_t cacheWidth() const { return kvHeads * headDim; }
};

class RopeStore {
  public:
    struct Args {
        vk::BufferView qkv;     ///< [rows, (H + 2 Hk) D] float32; queries are rotated in place, the rest is read
        vk::BufferView table;   ///< ropeTable() of at least position + rows positions
        vk::BufferView keys;    ///< [context, Hk D] float32; rows position .. position + rows - 1 are written
        vk::BufferView values;  ///< [context, Hk D] float32; likewise
        uint32_t rows = 0;
        uint32_t position = 0;  ///< of row 0
    };

    RopeStore(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
              const AttentionShape& shape);

    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const vk::Device& device_;
    const vk::Pipeline* pipeline_ = nullptr;
    AttentionShape shape_;
    uint32_t localSize_;
};

}  // namespace vulcat::kernels
