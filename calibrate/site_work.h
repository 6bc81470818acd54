#pragma once
// One site on its way from floats to codes: first its transform, from what the float model shows; then its codes, once
// the inputs behind that transform are known; and what there is to report of both.

#include "calibrate/observe.h"
#include "calibrate/report.h"
#include "calibrate/transforms.h"

namespace vulcat::calibrate {

class SiteWork {
  public:
    /// Finds the transform. `floats` and `inputs` must outlive this. The bits of `options` are those of this site.
    SiteWork(CalibrateOptions options, const Site& floats, const SiteInputs& inputs, int threads);

    /// What inputs are observed behind: nothing for WaterSIC, whose transform comes with its codes.
    const std::optional<format::Transform>& transform() const { return transform_.stored; }
    /// Whether finish() wants moments: see calibrate/plan.h.
    bool heedsStream() const;
    /// Rounds the weights into `quantised` and tells how good that is; the name of the site is left to the caller.
    SiteReport finish(const InputMoments& moments, Site& quantised);

  private:
    SiteTransform buildTransform() const;
    /// Rounded to nearest behind a transform, or none: what a step is worth by itself.
    SiteQuality judgeNearest(const std::optional<format::Transform>& transform,
                             const std::vector<Matrix>& transformed) const;
    void judgeSteps(const std::vector<Matrix>& transformed, SiteReport& report) const;
    Site quantise(const std::vector<Matrix>& transformed, const std::optional<format::Transform>& transform,
                  const InputMoments& moments, Rounding rounding, std::vector<std::string>& notes) const;
    void roundWhole(const InputMoments& moments, Site& quantised, SiteReport& report);
    void roundCoded(const InputMoments& moments, Site& quantised, SiteReport& report);
    void keepEightBits(const std::vector<Matrix>& transformed, const InputMoments& moments, Site& quantised,
                       SiteReport& report);

    CalibrateOptions options_;
    const Site& floats_;
    const SiteInputs& inputs_;
    int threads_;
    SecondMoments weightMoments_;
    SiteTransform transform_;
};

}  // namespace vulcat::calibrate
