#pragma once
// All working memory of a session's forward passes, allocated once: the static activation plan.

#include "layers/activations.h"
#include "layers/attention.h"
#include "layers/engine.h"

#include "format/model_config.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace vulcat::model {

class ActivationPlan {
  public:
    /// `rows` rows in a pass, of which `logitRows` at a time become logits. Errors: OutOfMemory.
    ActivationPlan(const layers::Engine& engine, const format::ModelConfig& config, uint32_t rows, uint32_t logitRows);
    ActivationPlan(const ActivationPlan&) = delete;  // views point into it
    ActivationPlan& operator=(const ActivationPlan&) = delete;

    /// The most rows whose widest view still fits one storage binding of the device; at least 1.
    static uint32_t maxRows(const layers::Engine& engine, const format::ModelConfig& config);
    static uint32_t maxLogitRows(const layers::Engine& engine, const format::ModelConfig& config);

    /// Sizes of what the constructor allocates on the device, in its order, and of what the host sees.
    static std::vector<uint64_t> deviceSizes(const format::ModelConfig& config, uint32_t rows, uint32_t logitRows);
    static uint64_t hostBytes(const format::ModelConfig& config, uint32_t rows, uint32_t logitRows);

    const layers::Activations& activations() const { return activations_; }
    const vk::BufferView& codesMemory() const { return codesMemory_; }  ///< of the codes of all sites; may be empty
    const vk::BufferView& ids() const { return ids_; }                ///< [rows] uint32, mapped
    const vk::BufferView& headInput() const { return headInput_; }    ///< [logitRows, d]
    const vk::BufferView& headNormed() const { return headNormed_; }  ///< [logitRows, d]
    const vk::BufferView& logits() const { return logits_; }          ///< [logitRows, vocabulary]
    const vk::BufferView& logitsHost() const { return logitsHost_; }  ///< the same, mapped
    uint64_t deviceBytes() const { return device_.reservedBytes(); }
    uint64_t sizeBytes() const { return device_.usedBytes() + upload_.usedBytes() + readback_.usedBytes(); }

  private:
    vk::BufferView rowsOfWidth(uint32_t rows, uint64_t width);
    void planCodes(const layers::Engine& engine, const format::ModelConfig& config, uint32_t rows);

    vk::Arena device_;
    vk::Arena upload_;
    vk::Arena readback_;
    layers::Activations activations_;
    std::array<std::optional<kernels::QuantisedRows>, format::kSiteKinds> codes_;
    vk::BufferView codesMemory_;
    vk::BufferView ids_, headInput_, headNormed_, logits_, logitsHost_;
};

/// Bytes of the blocks in which the memory of a session is allocated.
uint64_t sessionBlockBytes(const vk::Limits& limits);

/// Keys and values of every layer for one session.
class KeyValueCache {
  public:
    KeyValueCache(const layers::Engine& engine, const format::ModelConfig& config, uint32_t contextLength);

    /// Bytes that one position takes, all layers together.
    static uint64_t positionBytes(const format::ModelConfig& config);
    /// The longest context whose keys of one layer fit one storage binding.
    static uint64_t maxContext(const layers::Engine& engine, const format::ModelConfig& config);

    uint64_t deviceBytes() const { return arena_.reservedBytes(); }
    const layers::LayerCache& layer(size_t index) const { return layers_[index]; }

  private:
    vk::Arena arena_;
    std::vector<layers::LayerCache> layers_;
};

}  // namespace vulcat::model
