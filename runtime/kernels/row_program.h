#pragma once
// One row through a decoder's layers as a table of steps that a few workgroups walk together in one dispatch, instead of a
// dispatch a kernel (shaders/row_program.comp). For drivers on a CPU with ADDRESS, newer llvmpipe, which wakes its threads for each
// dispatch.
//
// Linears and codes are those of IntegerLinear and SiteTiles, bit for bit; attention is the formula of RopeStore and Attention
// with its sums in another order.

#include "kernels/linear_weights.h"
#include "kernels/quantise_rows.h"
#include "kernels/rope_store.h"
#include "kernels/site_row.h"

#include "shaders/interface/row_program.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vulcat::kernels {

/// What all steps of a program have in common.
struct RowProgramShape {
    AttentionShape attention;
    SiteCodesShape hidden;   ///< of the sites of the hidden size, with a norm of any epsilon or none
    SiteCodesShape product;  ///< of those behind SwiGLU
    LinearShape linear;      ///< one of the linears

    /// Whether a program of this shape has room for them.
    bool takes(const LinearShape& other) const;
    bool takesSite(const SiteCodesShape& other) const;
};

/// The table of a program, as long as the memory it names; views of sites and codes are the same in all steps.
class RowSteps {
  public:
    struct Memory {
        vk::BufferView hidden, qkv, mixed, gateUp, logits;  ///< a row of each as in layers::Activations; logits may be empty
        vk::BufferView codes;                               ///< of the widest site
        vk::BufferView scratch;                             ///< [widest site] float32
    };

    RowSteps(const vk::Device& device, const RowProgramShape& shape, const Memory& memory);

    /// The input of a site that the shape takes; x float [sourceWidth].
    void addSite(const SiteCodesShape& site, const vk::BufferView& x, const SiteRowViews& views);
    /// y (+)= W x + b of the codes that the site before left.
    void addLinear(const LinearWeights& weights, const vk::BufferView& y, bool accumulate);
    /// Memory::mixed = attention of Memory::qkv, whose keys and values go into the cache.
    void addAttention(const vk::BufferView& keys, const vk::BufferView& values, const vk::BufferView& ropeTable);

    const std::vector<shaders::ProgramStep>& steps() const { return steps_; }
    const Memory& memory() const { return memory_; }
    /// What a step reads and writes beside codes and scratch, at most kMostTouched; of a cache the rows up to `position`.
    static constexpr size_t kMostTouched = 5;
    std::vector<vk::Binding> touched(size_t step, uint32_t position) const;

  private:
    shaders::ProgramStep& add(uint32_t kind, uint32_t tasks, std::vector<vk::Binding> touched);

    const vk::Device& device_;
    RowProgramShape shape_;
    Memory memory_;
    uint32_t columns_;  // of y a workgroup of a linear computes
    std::vector<shaders::ProgramStep> steps_;
    std::vector<std::vector<vk::Binding>> touched_;
};

class RowProgram {
  public:
    /// Whether there is such a kernel for the device and the shape.
    static bool fits(const vk::Device& device, const vk::CapabilitySet& allowed, const RowProgramShape& shape);

    /// Precondition: fits().
    RowProgram(vk::Device& device, vk::PipelineLibrary& library, const RowProgramShape& shape);

    const RowProgramShape& shape() const { return shape_; }

    struct Args {
        const RowSteps& steps;
        vk::BufferView table;     ///< steps.steps() on the device
        vk::BufferView counters;  ///< countersBytes()
        uint32_t position = 0;
    };
    static uint64_t countersBytes(size_t steps) { return steps * 2 * sizeof(uint32_t); }

    /// All steps in one dispatch.
    void record(vk::Recorder& recorder, const Args& args) const;
    /// The same a dispatch a step, each of which may run in parts; uses no counters.
    void recordSingly(vk::Recorder& recorder, const Args& args) const;

  private:
    void dispatch(vk::Recorder& recorder, const Args& args, const shaders::RowProgramPush& push, uint32_t groups,
                  std::span<const vk::Binding> touched, std::string_view label) const;

    RowProgramShape shape_;
    uint32_t workgroups_ = 1;
    const vk::Pipeline* pipeline_ = nullptr;
};

}  // namespace vulcat::kernels
