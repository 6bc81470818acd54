#pragma once
// Floor `model`: a decoder as a whole.
//
//   DecoderModel    a model folder's weights on the GPU, float or baked; shared by sessions
//   Session         one token sequence: key-value cache, working memory, forward passes
//   Sampler         logits to a token
//   Generator       text to text: tokenizer, session and sampler together

#include "layers/decoder_layer.h"
#include "layers/engine.h"
#include "layers/vocabulary.h"

#include "format/model_config.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace vulcat::model {

/// Bytes of the folder's tensors read so far, of all, and what comes next. Return false to cancel.
using LoadProgress = std::function<bool(uint64_t doneBytes, uint64_t totalBytes, std::string_view next)>;

/// Bytes of the blocks in which a model whose files hold `totalBytes` of tensors is allocated.
uint64_t modelBlockBytes(const vk::Limits& limits, uint64_t totalBytes);

/// Immutable after construction. The engine's device and pipelines must outlive it; it must outlive its sessions.
/// One thread at a time, with its sessions.
class DecoderModel {
  public:
    /// Reads config.json and the tensors, checks that they agree, uploads, and makes the weights' pipelines.
    /// Errors: InvalidFile naming file, tensor or field; Unsupported; OutOfMemory; Cancelled by `progress`.
    DecoderModel(const layers::Engine& engine, const std::filesystem::path& folder, const LoadProgress& progress = {});
    DecoderModel(const DecoderModel&) = delete;
    DecoderModel& operator=(const DecoderModel&) = delete;

    const format::ModelConfig& config() const { return config_; }
    const layers::Engine& engine() const { return engine_; }
    uint64_t weightsBytes() const { return arena_.usedBytes(); }  ///< on the device

    uint64_t reservedBytes() const { return arena_.reservedBytes(); }  ///< blocks on the device that hold the weights

    /// The sizes of its linears, the head's among them, each once: what a tuner should measure.
    std::vector<kernels::LinearSize> linears() const;

    const layers::Embedding& embedding() const { return embedding_; }
    std::span<const layers::DecoderLayer> layers() const { return layers_; }
    const layers::Logits& logits() const { return logits_; }

    /// All layers for one row in one dispatch, where the device has such a kernel and the layers are alike; else null.
    const kernels::RowProgram* rowProgram() const { return rowProgram_ ? &*rowProgram_ : nullptr; }

  private:
    struct Loading;
    DecoderModel(const layers::Engine& engine, Loading&& loading);
    std::vector<layers::DecoderLayer> loadLayers(Loading& loading);
    void planRowProgram();

    layers::Engine engine_;
    format::ModelConfig config_;
    vk::Arena arena_;
    std::unique_ptr<vk::Uploader> uploader_;  // while loading; after the arena, so that it waits before memory goes
    layers::Embedding embedding_;
    std::vector<layers::DecoderLayer> layers_;
    layers::Logits logits_;
    std::optional<kernels::RowProgram> rowProgram_;
};

}  // namespace vulcat::model
