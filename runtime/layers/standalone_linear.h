#pragma once
// One quantised linear by itself, with its transform, quantiser and working memory, to be recorded into a command
// buffer of the host application.

#include "layers/site.h"

#include "format/safetensors.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace vulcat::layers {

/// A linear in memory: quantised weights, and how its inputs are quantised. It has no transform.
struct MemoryLinear {
    LinearSource source;
    format::SiteRecipe recipe;
    uint32_t inputs = 0;
};

class StandaloneLinear {
  public:
    struct Options {
        uint32_t maxRows = 0;     ///< 1..kMaxRows; 0: kMaxRows, or fewer where the device cannot bind so many
        uint32_t recordings = 3;  ///< recordings in use at the same time, at least 1
    };

    /// Errors: InvalidArgument for too many rows, OutOfMemory.
    StandaloneLinear(const Engine& engine, const MemoryLinear& linear, const Options& options);
    /// The site `name` (format::siteName) of a model folder, its linears stacked. Errors: InvalidArgument when the
    /// model has no such site; InvalidFile.
    StandaloneLinear(const Engine& engine, const format::TensorStore& store, std::string_view name,
                     const Options& options);

    uint32_t inputs() const { return site_->inputs(); }
    uint32_t outputs() const { return site_->outputs(); }
    uint32_t maxRows() const { return maxRows_; }
    uint64_t weightsBytes() const { return weights_.usedBytes(); }
    uint64_t scratchBytes() const { return scratch_.usedBytes(); }

    /// Records y (+)= W T x + b into the command buffer, which is in recording state. Reuses what the call `recordings`
    /// calls ago recorded, which must no longer be in use. Errors: InvalidArgument for views that do not fit the rows.
    void record(VkCommandBuffer commands, const vk::BufferView& x, const vk::BufferView& y, uint32_t rows,
                bool accumulate);

  private:
    void finish(const Engine& engine, const Options& options);

    vk::Arena weights_;
    vk::Arena scratch_;
    std::optional<Site> site_;
    std::optional<kernels::QuantisedRows> codes_;
    vk::BufferView first_, second_, arrivals_;
    uint32_t maxRows_ = 0;
    std::vector<std::unique_ptr<vk::Recorder>> recorders_;
    size_t next_ = 0;
};

}  // namespace vulcat::layers
