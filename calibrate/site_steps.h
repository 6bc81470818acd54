#pragma once
// What each step of a transform is worth, for the report: the stored transform taken apart again.

#include "format/transform.h"

#include <optional>

namespace vulcat::calibrate {

/// The dense blocks of a transform as they were before any mix, those inside blocks included: the alignment alone, in
/// fp16 again. Nothing where the transform has no dense blocks wider than 1, or no mix to take away.
std::optional<format::Transform> alignmentAlone(const format::Transform& transform, int threads);

}  // namespace vulcat::calibrate
