#include "calibrate/plan.h"

#include <cmath>

namespace vulcat::calibrate {

namespace {

double weightsOf(const format::ModelConfig& config, format::SiteKind kind) {
    double weights = 0;
    for (const format::LinearInfo& linear : format::siteLinears(config, 0, kind))
        weights += static_cast<double>(linear.rows * linear.columns);
    return weights;
}

/// Multiply-adds, as measured: a searched scale tries some dozens of candidates, GPTQ with its descent goes over a
/// row's columns a few times.
double finishingOperations(const CalibrateOptions& options, double inputs, double weights) {
    constexpr double kNearest = 300, kBeyond = 8;
    const double beyond = heedsStream(options) ? kBeyond * inputs * (inputs * inputs + weights) : 0;
    return kNearest * weights + beyond;
}

}  // namespace

std::array<uint64_t, format::kSiteKinds> siteUnits(const CalibrateOptions& options, const format::ModelConfig& config,
                                                   double tokens) {
    double pass = 0;  // of a token
    for (const format::SiteKind kind : format::kSites) pass += 2 * weightsOf(config, kind);
    const auto units = [&](const CalibrateOptions& site, format::SiteKind kind) {
        const auto inputs = static_cast<double>(format::siteWidth(config, kind));
        const double operations = finishingOperations(site, inputs, weightsOf(config, kind));
        return std::max<uint64_t>(1, static_cast<uint64_t>(std::llround(operations / (tokens * pass))));
    };
    std::array<uint64_t, format::kSiteKinds> result{};
    for (const format::SiteKind kind : format::kSites) result[static_cast<size_t>(kind)] = units(options, kind);
    if (options.headBits != 16) result.back() = units(headOptions(options), format::SiteKind::Head);
    return result;
}

nlohmann::ordered_json recipeJson(const CalibrateOptions& options) {
    const bool symmetric = options.activationBits == 4 ? options.activationSymmetric : options.activationBits == 8;
    nlohmann::ordered_json transform = {{"type", nameOf(options.transform)}};
    if (options.transform == TransformKind::Cat || options.transform == TransformKind::BlockHadamard) {
        transform["block"] = options.block;
        if (options.block == kFullBlock) transform["block"] = "full";
    }
    if (options.randomSigns) transform["random_signs"] = true;
    if (options.permute != Permute::None) transform["permutation"] = nameOf(options.permute);
    if (options.permuteResidual != Permute::None) transform["residual_permutation"] = nameOf(options.permuteResidual);
    nlohmann::ordered_json rounding = {{"method", nameOf(options.rounding)}};
    if (options.rounding == Rounding::Gptq) rounding["act_order"] = options.actOrder;
    if (options.rounding == Rounding::WaterSic) rounding["bits_per_weight"] = options.rate;
    nlohmann::ordered_json weights = {
        {"bits", options.weightBits}, {"group_size", options.groupSize}, {"scales", nameOf(options.scales)}};
    if (options.leastSqnr) weights["least_sqnr_db"] = *options.leastSqnr;
    if (options.targetBits) weights["target_bits"] = *options.targetBits;
    if (options.headBits != 16) weights["head_bits"] = options.headBits;
    return {{"quant_method", "vulcat"},
            {"format_version", 1},
            {"weights", weights},
            {"activations", {{"bits", options.activationBits}, {"symmetric", symmetric}}},
            {"transform", transform},
            {"rounding", rounding},
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

format::SiteRecipe siteRecipe(const CalibrateOptions& options, const SiteReport& site) {
    format::SiteRecipe recipe = siteRecipe(options, std::nullopt);
    recipe.weightBits = site.weightBits;
    recipe.activationBits = site.activationBits;
    recipe.activationSymmetric = site.activationBits == 4 && options.activationSymmetric;
    recipe.block = site.block;
    recipe.mixOrder = site.mixOrder;
    recipe.mixStride = site.mixStride;
    recipe.coded = site.rounding == nameOf(Rounding::WaterSic);
    return recipe;
}

}  // namespace vulcat::calibrate
