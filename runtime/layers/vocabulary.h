#pragma once
// The two ends of a decoder: ids to rows, rows to logits. With a tied head both read one matrix.

#include "layers/engine.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "layers/site.h"

#include "format/model_config.h"
#include "format/safetensors.h"
#include "kernels/embedding.h"
#include "kernels/float_linear.h"

#include <optional>

namespace vulcat::layers {

class Embedding {
  public:
    Embedding(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
              const format::ModelConfig& config);

    /// ids [rows] uint32 below the vocabulary size; y [rows, d] is written.
    void record(vk::Recorder& recorder, const vk::BufferView& ids, const vk::BufferView& y, uint32_t rows) const;

    const kernels::LinearWeights& table() const { return table_; }

  private:
    kernels::LinearWeights table_;
    kernels::Embedding kernel_;
};

/// logits = W_head norm(x), behind a transform and with codes where the folder's recipe has the site "lm_head".
class Logits {
  public:
    Logits(const Engine& engine, WeightSink& sink, const format::TensorStore& store, const format::ModelConfig& config,
           const Embedding& embedding);

    /// x and normed [rows, d], logits [rows, vocabulary]; none overlaps another. A tied float head reads embedding's
    /// table; a quantised one uses the scratch.
    void record(vk::Recorder& recorder, const Embedding& embedding, const vk::BufferView& x,
                const vk::BufferView& normed, const vk::BufferView& logits, uint32_t rows,
                const SiteScratch& scratch) const;

    const Site* site() const { return site_ ? &*site_ : nullptr; }  ///< of a quantised head

    /// Of the head's linear.
    const kernels::LinearSize& size() const { return size_; }

  private:
    Norm norm_;
    std::optional<Site> site_;                          // of a quantised head
    std::optional<kernels::LinearWeights> ownWeights_;  // of a float head that is not tied
    kernels::LinearSize size_;
    std::optional<kernels::FloatLinear> floatHead_;
};

}  // namespace vulcat::layers
