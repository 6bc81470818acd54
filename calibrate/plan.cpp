#include "calibrate/plan.h"

namespace vulcat::calibrate {

nlohmann::json recipeJson(const CalibrateOptions& options) {
    const bool symmetric = options.activationBits == 4 ? options.activationSymmetric : options.activationBits == 8;
    nlohmann::json transform = {{"type", nameOf(options.transform)}};
    if (options.transform == TransformKind::Cat) transform["block"] = options.block;
    return {{"quant_method", "vulcat"},
            {"format_version", 1},
            {"weights",
             {{"bits", options.weightBits}, {"group_size", options.groupSize}, {"scales", nameOf(options.scales)}}},
            {"activations", {{"bits", options.activationBits}, {"symmetric", symmetric}}},
            {"transform", transform},
            {"calibration",
             {{"samples", options.texts.samples}, {"seq_len", options.texts.seqLen}, {"seed", options.seed}}}};
}

format::SiteRecipe siteRecipe(const CalibrateOptions& options, const std::optional<format::Transform>& transform) {
    format::SiteRecipe recipe;
    recipe.weightBits = options.weightBits;
    recipe.groupSize = options.groupSize;
    recipe.activationBits = options.activationBits;
    recipe.activationSymmetric = options.activationBits == 4 && options.activationSymmetric;
    if (transform) {
        recipe.block = static_cast<int>(transform->block);
        recipe.mixOrder = static_cast<int>(transform->mixOrder);
        recipe.mixStride = static_cast<int>(transform->mixStride);
    }
    return recipe;
}

}  // namespace vulcat::calibrate
