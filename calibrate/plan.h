#pragma once
// Decisions that the run and its estimate share.

#include "calibrate/options.h"

#include "format/model_config.h"
#include "format/transform.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>

namespace vulcat::calibrate {

/// Rows of each site's input that the report measures on.
inline constexpr uint64_t kKeptRows = 512;

/// Second moments are kept whole up to this width, which the report's attainable alignment needs; wider sites keep only
/// the transform's diagonal blocks (a whole matrix of width 8192 would take 512 MB and hours of eigenvalues).
inline constexpr int kWholeMomentsWidth = 1024;

/// Width of the diagonal blocks of second moments kept at a site (see SecondMoments).
inline int64_t momentBlock(const CalibrateOptions& options, int64_t width) {
    return width <= kWholeMomentsWidth ? 0 : options.block;
}

/// quantization_config without its sites: the recipe in words.
nlohmann::json recipeJson(const CalibrateOptions& options);

/// The recipe of one site with this transform.
format::SiteRecipe siteRecipe(const CalibrateOptions& options, const std::optional<format::Transform>& transform);

}  // namespace vulcat::calibrate
