#pragma once
// A site of a layer: its transform and quantiser together with the linears that share them.

#include "layers/linear.h"
#include "layers/transform_site.h"

#include "kernels/row_program.h"

#include "format/model_config.h"
#include "format/names.h"

namespace vulcat::layers {

class Site {
  public:
    Site(const Engine& engine, WeightSink& sink, const format::TensorStore& store, const format::ModelConfig& config,
         int layer, format::SiteKind kind, const SiteBefore& before = {});

    /// From memory: the linears of `source` behind `transform`.
    Site(const Engine& engine, WeightSink& sink, const format::Transform& transform, const format::SiteRecipe& recipe,
         const LinearSource& source);

    uint32_t inputs() const { return input_.width(); }
    uint32_t outputs() const { return linear_.weights().outputs(); }
    bool quantises() const { return input_.quantises(); }
    kernels::LinearSize size() const { return linear_.size(); }  ///< of the stacked linears

    /// Whether record() with so many rows wants what stands before the site's norm or SwiGLU (TransformSite::fuses).
    bool fuses(uint32_t rows) const { return input_.fuses(rows); }

    /// The site's row as a program can compute it (kernels::RowProgramShape); null where none can.
    const kernels::SiteCodesShape* row() const { return input_.row(); }
    const kernels::LinearShape& linearShape() const { return linear_.weights().shape(); }
    /// Whether a program of this shape can run the site.
    bool fits(const kernels::RowProgramShape& program) const;
    /// The same as record() for one row, as steps of a program. x: as for fuses(), with what stands before the site.
    void addSteps(kernels::RowSteps& steps, const vk::BufferView& x, const vk::BufferView& y, bool accumulate,
                  const SiteScratch& scratch) const;

    /// y [rows, outputs] (+)= W T x + b; x as in fuses().
    void record(vk::Recorder& recorder, const vk::BufferView& x, const vk::BufferView& y, uint32_t rows,
                bool accumulate, const SiteScratch& scratch) const;

  private:
    TransformSite input_;
    Linear linear_;
};

/// The norm or SwiGLU that stands before a site in a decoder. Errors: InvalidFile naming the norm's tensor.
SiteBefore siteBefore(const format::TensorStore& store, const format::ModelConfig& config, int layer,
                      format::SiteKind kind);

}  // namespace vulcat::layers
