#pragma once
// The input of a site: x' = MIX . B x, then the activation quantiser, as the site's recipe says (format/transform.h).

#include "layers/engine.h"

#include "format/model_config.h"
#include "format/safetensors.h"
#include "format/transform.h"
#include "kernels/block_transform.h"
#include "kernels/mix_dense.h"
#include "kernels/mix_hadamard.h"
#include "kernels/quantise_rows.h"
#include "kernels/site_codes.h"
#include "kernels/site_teams.h"
#include "kernels/site_tiles.h"
#include "vk/recorder.h"

#include <optional>
#include <string_view>

namespace vulcat::layers {

/// What the linears of a site read: codes where activations are quantised, floats where they are not.
struct SiteInput {
    vk::BufferView floats;                          ///< [rows, K] float32
    const kernels::QuantisedRows* codes = nullptr;  ///< null: use the floats
};

/// Memory that every site uses in turn; its contents live until the next site is recorded.
struct SiteScratch {
    vk::BufferView first;                           ///< [rows, K] float32 at least; must not overlap the site's input
    vk::BufferView second;                          ///< likewise, nor `first`
    const kernels::QuantisedRows* codes = nullptr;  ///< for sites with quantised activations, of this site's width
    vk::BufferView arrivals;                        ///< likewise: kernels::SiteTeams::arrivalBytes() of zeros
};

/// What stands before a site's transform, so that fuse() can take it in: nothing, a norm or SwiGLU.
struct SiteBefore {
    kernels::SiteSource source = kernels::SiteSource::Rows;
    std::vector<float> gamma;  ///< of the norm, as wide as the site
    float epsilon = 0;
};

class TransformSite {
  public:
    /// Errors: those of format::readTransform.
    TransformSite(const Engine& engine, WeightSink& sink, const format::TensorStore& store, std::string_view site,
                  const format::SiteRecipe& recipe, uint32_t width, const SiteBefore& before = {});

    /// The same from a transform in memory, of the width it has.
    TransformSite(const Engine& engine, WeightSink& sink, const format::Transform& transform,
                  const format::SiteRecipe& recipe, const SiteBefore& before = {});

    /// True when record() with so many rows takes what stands before the site in: then its x is the input of the norm
    /// [rows, width] or of SwiGLU [rows, 2 width], else their output.
    bool fuses(uint32_t rows) const { return blocksTakeSwiGlu_ || fusesAll(rows); }

    /// x is only read: [rows, width], or see fuses(). The result refers to x or to the scratch.
    SiteInput record(vk::Recorder& recorder, const vk::BufferView& x, uint32_t rows, const SiteScratch& scratch) const;

    /// The row of the site as a program can compute it (kernels::RowSteps), and what that reads; null where none can.
    const kernels::SiteCodesShape* row() const { return tiles_ ? &tiles_->shape() : nullptr; }
    kernels::SiteRowViews rowViews(const SiteScratch& scratch) const { return {fusedFloats_, blockWords_, scratch.first}; }

    uint32_t width() const { return width_; }
    bool quantises() const { return quantise_.has_value(); }

  private:
    bool fusesAll(uint32_t rows) const {
        return (tiles_ && tiles_->preferred(rows)) || (teams_ && teams_->preferred(rows)) || (fused_ && fused_->preferred(rows));
    }
    void planMix(const Engine& engine, WeightSink& sink, const format::Transform& transform,
                 const std::optional<kernels::ActivationFormat>& format);
    /// Makes one of the kernels that do all in one dispatch, where one suits, and gives its floats.
    std::vector<float> fuse(const Engine& engine, const format::Transform& transform,
                            const kernels::ActivationFormat& format, const SiteBefore& before);

    uint32_t width_;
    std::optional<kernels::SiteTiles> tiles_;  // all of the following in one dispatch, where it suits
    std::optional<kernels::SiteTeams> teams_;  // the same where those do not fit
    std::optional<kernels::SiteCodes> fused_;  // the same where neither does
    vk::BufferView fusedFloats_;
    std::optional<kernels::BlockTransform> blocks_;
    bool blocksTakeSwiGlu_ = false;
    vk::BufferView blockWords_;  // behind the blocks what teams_ reads too
    std::optional<kernels::SiteTiles> mixCodes_;  // both mixes and the quantiser in one dispatch, where there is one
    std::optional<kernels::MixDense> mixCore_;
    vk::BufferView mixMatrix_;
    std::optional<kernels::MixHadamard> mixHadamard_;
    std::optional<kernels::QuantiseRows> quantise_;
};

}  // namespace vulcat::layers
