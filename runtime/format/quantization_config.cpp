#include "format/quantization_config.h"

#include "base/error.h"
#include "format/names.h"

#include <set>

namespace vulcat::format {

namespace {

constexpr int kFormatVersion = 1;
constexpr int64_t kWidestTransform = 1 << 20;

bool isBits(int64_t bits) {
    return bits == 4 || bits == 8 || bits == 16;
}

SiteRecipe parseSite(const JsonFields& fields, bool head) {
    const int64_t weightBits = fields.integer("weight_bits", 4, 16, 16);
    const int64_t activationBits = fields.integer("activation_bits", 4, 16, 16);
    const int64_t groupSize = fields.integer("group_size", 0, 128, 0);
    if (!isBits(weightBits)) fields.fail("weight_bits", "must be 4, 8 or 16");
    if (!isBits(activationBits)) fields.fail("activation_bits", "must be 4, 8 or 16");
    if (head && weightBits == 16) fields.fail("weight_bits", "must be 4 or 8; a float output layer is not listed");
    if (weightBits == 16 && activationBits != 16) fields.fail("activation_bits", "must be 16 where weight_bits is 16");
    if (groupSize != 0 && groupSize != 32 && groupSize != 64 && groupSize != 128) {
        fields.fail("group_size", "must be 0, 32, 64 or 128");
    }
    SiteRecipe recipe;
    recipe.weightBits = static_cast<int>(weightBits);
    recipe.activationBits = static_cast<int>(activationBits);
    recipe.groupSize = static_cast<int>(groupSize);
    recipe.activationSymmetric = fields.boolean("activation_symmetric", false);
    recipe.block = static_cast<int>(fields.integer("block", 0, kWidestTransform, 0));
    recipe.mixOrder = static_cast<int>(fields.integer("mix_order", 1, kWidestTransform, 1));
    recipe.mixStride = static_cast<int>(fields.integer("mix_stride", 1, kWidestTransform, 1));
    recipe.coded = fields.boolean("coded", false);
    if (recipe.coded && (weightBits != 8 || groupSize != 0))
        fields.fail("coded", "needs weight_bits 8 and group_size 0");
    return recipe;
}

std::set<std::string> allSites(int layers) {
    std::set<std::string> names{std::string(kHeadSite)};
    for (int layer = 0; layer < layers; ++layer) {
        for (const SiteKind kind : kSites) names.insert(siteName(layer, kind));
    }
    return names;
}

}  // namespace

Quantization parseQuantization(const JsonFields& fields, const nlohmann::json& object, int layers) {
    const std::string& method = fields.text("quant_method");
    if (method != "vulcat") {
        throw Error(Result::Unsupported, fields.where() + ": quant_method \"" + method.substr(0, 40) +
                                             "\" is not read by vulcat; calibrate the float model instead");
    }
    if (fields.integer("format_version", 1, INT32_MAX) > kFormatVersion) {
        throw Error(Result::Unsupported, fields.where() + ": format_version " +
                                             std::to_string(fields.integer("format_version", 1, INT32_MAX)) +
                                             " is newer than this vulcat");
    }
    const JsonFields sites = fields.object("sites");
    const nlohmann::json& siteMap = fields.at("sites");
    if (siteMap.size() > static_cast<size_t>(layers) * kSites.size() + 1) {
        fields.fail("sites", "lists more sites than the model has");
    }
    const std::set<std::string> known = allSites(layers);
    Quantization quantization;
    for (const auto& item : siteMap.items()) {
        if (!known.contains(item.key())) sites.fail(item.key(), "is not a site of this model");
        quantization.sites.emplace(item.key(), parseSite(sites.object(item.key()), item.key() == kHeadSite));
    }
    quantization.recipeJson = object.dump();
    return quantization;
}

}  // namespace vulcat::format
