#pragma once
// What the tuner measures (tuner.h): a linear with weights and inputs, and what must come out. All numbers are small
// random integers times powers of two, so that sums are exact in whatever order a kernel adds.

#include "kernels/linear_weights.h"
#include "kernels/tuning.h"
#include "vk/memory.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"
#include "vk/transfer.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace vulcat::kernels {

class Trial {
  public:
    /// A trial of the linear or, where it is large, of a part of its outputs. The device and the library must outlive
    /// it. Errors: those of LinearWeights.
    static std::unique_ptr<Trial> make(vk::Device& device, vk::PipelineLibrary& library,
                                       const vk::CapabilitySet& allowed, const LinearSize& size);
    virtual ~Trial() = default;
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    /// All that run here.
    virtual std::vector<LinearTile> tiles() const = 0;
    /// Makes the pipelines of one of tiles(), for what follows. Errors: those of PipelineLibrary::get.
    virtual void take(const LinearTile& tile) = 0;
    /// Run number `run`, on the next copy of the weights. Preconditions: a tile was taken; 1 <= rows <= mostRows().
    virtual void record(vk::Recorder& recorder, uint32_t rows, uint32_t run) const = 0;

    uint32_t outputs() const { return size_.outputs; }  ///< that are computed
    uint32_t mostRows() const { return mostRows_; }     ///< of x: whole tiles of every height
    const vk::BufferView& y() const { return y_; }
    /// Whether the first rows of y are what they must be.
    bool isRight(uint32_t rows) const;

  protected:
    Trial(vk::Device& device, const LinearSize& size, uint32_t mostRows);
    /// Uploads one pattern of rows again and again, as many as there are outputs; on a GPU in as many copies as its
    /// caches cannot hold, since a model's weights come from memory.
    void makeWeights(const vk::CapabilitySet& allowed, WeightOrder order, const LinearPart& pattern);

    const LinearWeights& weights(uint32_t run) const { return copies_[run % copies_.size()]; }

    vk::Device& device_;
    LinearSize size_;              ///< what is measured
    uint32_t mostRows_;            ///< M
    uint32_t patternRows_;         ///< rows of weights that differ: few, so that computing `expected_` takes no time
    std::vector<float> expected_;  ///< [M][patternRows]
    vk::Arena arena_;
    vk::Uploader uploader_;
    std::vector<LinearWeights> copies_;
    vk::BufferView y_;
};

}  // namespace vulcat::kernels
