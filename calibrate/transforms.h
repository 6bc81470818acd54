#pragma once
// The transform of a site, from statistics to what is stored, and the weights that go with it: y = (W T^-1)(T x).

#include "calibrate/cat.h"
#include "calibrate/options.h"
#include "calibrate/statistics.h"

#include "format/transform.h"

#include <optional>
#include <string>
#include <vector>

namespace vulcat::calibrate {

struct SiteTransform {
    std::optional<format::Transform> stored;  ///< nothing for TransformKind::None, and where nothing would change
    std::vector<std::string> notes;
};

/// The CAT transform of one site, T = MIX . B: symmetric alignment blocks, then an orthogonal mix of the whole width,
/// which spreads what is left of outliers and leaves alignment as it is (in the other order it would not help). Where
/// the block width divides K the mix factors into Hadamards inside blocks, merged into B, and across blocks; else it
/// has order K. T is scaled by a power of two, which no code notices, so that fp16 holds its entries well.
/// With a seed, channels get random signs between blocks and mix.
/// Preconditions: `x` and `w` (second moments of inputs and of all weight rows) keep whole blocks of the width; block
/// >= 1.
SiteTransform catTransform(const SecondMoments& x, const SecondMoments& w, Eigen::Index block,
                           const AlignmentDamping& damping, int threads, std::optional<uint64_t> signs = std::nullopt);

/// Orthogonal mix of the whole width; with a seed, of channels with random signs, which are blocks of width 1.
SiteTransform hadamardTransform(Eigen::Index width, std::optional<uint64_t> signs = std::nullopt);

/// Orthogonal mix inside blocks of the largest width up to `block` that divides the whole; a note says which, where it
/// is not `block` itself.
SiteTransform blockHadamardTransform(Eigen::Index width, Eigen::Index block);

/// W T^-1 from T as it is stored (fp16 blocks, float32 mix), computed in double, rounded to float.
Matrix transformWeights(const format::Transform& transform, const Matrix& weight, int threads);

}  // namespace vulcat::calibrate
