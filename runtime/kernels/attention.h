#pragma once
// Causal attention with a key/value cache and grouped queries: for row m of head h,
//   y[m,h] = sum_t softmax_t(q[m,h] . k[t, h Hk/H] / sqrt(D)) v[t, h Hk/H],  t = 0 .. position + m,
// in one pass over the cache with a running maximum and sum (Milakov and Gimelshein, arXiv:1805.02867).
//
// One row has few workgroups for a GPU, a key head each. There the invocations of a workgroup share the keys out, and a long
// context is split into parts that run side by side, of which a second dispatch makes one result, always in their order. How
// many parts depends on shape, position and room for them alone, so that the same token comes out however a pass is cut.

#include "kernels/rope_store.h"

#include <cstdint>
#include <optional>

namespace vulcat::kernels {

class Attention {
  public:
    struct Args {
        vk::BufferView qkv;     ///< [rows, (H + 2 Hk) D] float32, rotated; only the queries are read
        vk::BufferView keys;    ///< [context, Hk D] float32, filled up to position + rows
        vk::BufferView values;  ///< [context, Hk D] float32, likewise
        vk::BufferView y;       ///< [rows, H D] float32, written
        uint32_t rows = 0;
        uint32_t position = 0;  ///< of row 0
        vk::BufferView scratch{};  ///< for parts; none: the context is not split
    };

    /// headDim: a multiple of 2 from 2 to 256. `splits`: whether the keys of one row are shared out
    /// and long contexts split; nothing: on GPUs.
    Attention(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
              const AttentionShape& shape, std::optional<bool> splits = std::nullopt);

    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    struct Tile {
        const vk::Pipeline* pipeline = nullptr;
        uint32_t queries = 1;  ///< a workgroup takes
    };

    uint32_t partsFor(const Args& args) const;
    uint64_t partBytes() const;

    AttentionShape shape_;
    Tile decode_;   // one query row
    Tile prefill_;  // several query rows share each key
    Tile part_;     // one query row, part of the context; none where contexts are not split
    const vk::Pipeline* merge_ = nullptr;
};

}  // namespace vulcat::kernels
