#pragma once
// Decisions that the run and its estimate share.

#include "calibrate/options.h"
#include "calibrate/report.h"

#include "format/model_config.h"
#include "format/names.h"
#include "format/transform.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace vulcat::calibrate {

/// Rows of each site's input that the report measures on.
inline constexpr uint64_t kKeptRows = 512;
/// Of these one thread measures on so many at once.
inline constexpr uint64_t kJudgedRows = 128;

/// Second moments are kept whole up to this width, which the report's attainable alignment needs; wider sites keep only
/// the transform's diagonal blocks (a whole matrix of width 8192 would take 512 MB and hours of eigenvalues).
inline constexpr int kWholeMomentsWidth = 1024;

/// Width of the blocks of the CAT transform at a site.
inline int64_t blockOf(const CalibrateOptions& options, int64_t width) {
    return options.block == kFullBlock ? width : std::min<int64_t>(options.block, width);
}

/// Width of the diagonal blocks of second moments kept at a site (see SecondMoments).
inline int64_t momentBlock(const CalibrateOptions& options, int64_t width) {
    if (width <= kWholeMomentsWidth || options.permute != Permute::None) return 0;
    return options.transform == TransformKind::Cat ? blockOf(options, width) : std::min<int64_t>(64, width);
}

/// Progress units of finishing each site, by SiteKind, 0 for a float head; one unit is `tokens` tokens on their way
/// through a layer once. An estimate by operations: what rounding beyond nearest does grows with K^3 and N K^2, nearest with N K.
std::array<uint64_t, format::kSiteKinds> siteUnits(const CalibrateOptions& options, const format::ModelConfig& config,
                                                   double tokens);

/// quantization_config without its sites: the recipe in words.
nlohmann::ordered_json recipeJson(const CalibrateOptions& options);

/// The recipe of one site with this transform, and as its report tells it.
format::SiteRecipe siteRecipe(const CalibrateOptions& options, const std::optional<format::Transform>& transform);
format::SiteRecipe siteRecipe(const CalibrateOptions& options, const SiteReport& site);

/// Rounding looks at inputs as the model quantised so far gives them.
inline bool heedsStream(const CalibrateOptions& options) {
    return options.rounding != Rounding::Nearest;
}

}  // namespace vulcat::calibrate
