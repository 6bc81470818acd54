#pragma once
// y = W x' + b for the stacked linears of a site, with the kernel that the site's recipe asks for: integer weights and
// codes (w4a4, w4a8, w8a8, w8a4), integer weights and floats (w4a16, w8a16), or floats (w16a16). One row is a GEMV.

#include "layers/engine.h"
#include "layers/linear_source.h"
#include "layers/transform_site.h"

#include "kernels/float_linear.h"
#include "kernels/integer_linear.h"

#include <optional>

namespace vulcat::layers {

class Linear {
  public:
    /// Uploads the source's linears, their outputs stacked in their order. With quantisedInput the linears read codes,
    /// else floats. Errors: OutOfMemory.
    Linear(const Engine& engine, WeightSink& sink, const LinearSource& source, bool quantisedInput);

    /// y [rows, outputs] is written, or added to with `accumulate` (the residual); it must not overlap x.
    void record(vk::Recorder& recorder, const SiteInput& x, const vk::BufferView& y, uint32_t rows,
                bool accumulate) const;

    const kernels::LinearWeights& weights() const { return weights_; }
    kernels::LinearSize size() const;

  private:
    kernels::LinearWeights weights_;
    std::optional<kernels::FloatLinear> floatKernel_;  // one of the two
    std::optional<kernels::IntegerLinear> integerKernel_;
};

}  // namespace vulcat::layers
