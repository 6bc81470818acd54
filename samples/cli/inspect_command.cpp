// vulcat inspect: what a model folder holds: shapes, recipe, bits per weight, and the calibration report.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/site_table.h"
#include "cli/terminal.h"

#include "calibrate/report.h"
#include "format/model_config.h"
#include "format/names.h"
#include "format/safetensors.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

namespace vulcat::cli {
namespace {

struct Totals {
    uint64_t bytes = 0;            ///< all tensors
    uint64_t quantisedBytes = 0;   ///< codes, scales, sums
    uint64_t codedBytes = 0;       ///< of those, entropy-coded codes
    uint64_t codedWeights = 0;
    uint64_t quantisedWeights = 0;
    uint64_t transformBytes = 0;
    uint64_t parameters = 0;       ///< weights of any kind; a transform is none
};

bool endsWithAny(std::string_view name, std::initializer_list<std::string_view> ends) {
    for (std::string_view end : ends)
        if (name.ends_with(end)) return true;
    return false;
}

Totals countTensors(const format::ModelConfig& config, const format::TensorStore& store) {
    Totals totals;
    for (const format::TensorView& tensor : store.tensors()) {
        totals.bytes += tensor.bytes.size();
        if (tensor.name.find(".transform.") != std::string_view::npos)
            totals.transformBytes += tensor.bytes.size();
        else if (endsWithAny(tensor.name, {".codes", ".coded", ".scales", ".code_sums"}))
            totals.quantisedBytes += tensor.bytes.size();
        else
            totals.parameters += tensor.elements();
        if (tensor.name.ends_with(".coded")) totals.codedBytes += tensor.bytes.size();
    }
    const auto count = [&](int layer, format::SiteKind kind) {
        const format::SiteRecipe recipe = config.recipe(format::siteName(layer, kind));
        if (recipe.weightBits == 16) return;
        for (const format::LinearInfo& linear : format::siteLinears(config, layer, kind)) {
            totals.quantisedWeights += linear.rows * linear.columns;
            if (recipe.coded) totals.codedWeights += linear.rows * linear.columns;
        }
    };
    for (int layer = 0; layer < config.layers; ++layer)
        for (format::SiteKind kind : format::kSites) count(layer, kind);
    count(0, format::SiteKind::Head);
    totals.parameters += totals.quantisedWeights;
    return totals;
}

std::string shapeText(const format::TensorView& tensor) {
    std::string text;
    for (uint64_t size : tensor.shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
    return text.empty() ? "scalar" : text;
}

void printSummary(const format::ModelConfig& config, const Totals& totals) {
    const auto line = [](const char* name, const std::string& value) { std::printf("%-18s %s\n", name, value.c_str()); };
    line("layers", std::to_string(config.layers));
    line("width", std::to_string(config.hiddenSize) + ", feed-forward " + std::to_string(config.intermediateSize));
    line("heads", std::to_string(config.heads) + " of " + std::to_string(config.headDim) + ", key-value heads " + std::to_string(config.kvHeads));
    line("vocabulary", std::to_string(config.vocabSize) + (config.ownsHead() ? "" : ", embedding is also the head"));
    line("context", std::to_string(config.maxPositions) + " tokens");
    line("parameters", std::to_string(totals.parameters));
    line("tensors", humanBytes(totals.bytes));
    const auto bits = [](uint64_t bytes, uint64_t weights) {
        return fixed(8.0 * static_cast<double>(bytes) / static_cast<double>(weights), 3);
    };
    if (totals.parameters > 0) line("bits per weight", bits(totals.bytes, totals.parameters) + " over everything");
    if (totals.quantisedWeights > 0)
        line("", bits(totals.quantisedBytes, totals.quantisedWeights) + " in the " + std::to_string(totals.quantisedWeights) +
                     " quantised ones, scales and sums included; transforms add " +
                     bits(totals.transformBytes, totals.quantisedWeights));
    if (totals.codedWeights > 0)
        line("", bits(totals.codedBytes, totals.codedWeights) + " in the entropy codes of " + std::to_string(totals.codedWeights));
    if (config.quantization)
        line("recipe", nlohmann::ordered_json::parse(config.quantization->recipeJson).value("weights", nlohmann::ordered_json::object()).dump() + " weights");
    else
        line("recipe", "none: a float model");
}

/// "4", or "8, coded in 2.513".
std::string weightBitsText(const format::ModelConfig& config, const format::TensorStore& store, int layer, format::SiteKind kind) {
    const format::SiteRecipe recipe = config.recipe(format::siteName(layer, kind));
    const std::string whole = std::to_string(recipe.weightBits);
    if (!recipe.coded) return whole;
    double bytes = 0, weights = 0;
    for (const format::LinearInfo& linear : format::siteLinears(config, layer, kind)) {
        bytes += static_cast<double>(store.at(linear.prefix + ".coded").bytes.size());
        weights += static_cast<double>(linear.rows * linear.columns);
    }
    return whole + ", coded in " + fixed(8 * bytes / weights, 3);
}

void printSites(const format::ModelConfig& config, const format::TensorStore& store) {
    Table table({"site", "weight bits", "group", "activation bits", "zero point", "block", "mix order", "mix stride"});
    std::map<std::string, std::string> weightBits;
    for (int layer = 0; layer < config.layers; ++layer)
        for (format::SiteKind kind : format::kSites)
            weightBits[format::siteName(layer, kind)] = weightBitsText(config, store, layer, kind);
    if (config.quantisesHead())
        weightBits[std::string(format::kHeadSite)] = weightBitsText(config, store, 0, format::SiteKind::Head);
    for (const auto& [name, r] : config.quantization->sites)
        table.add({name, weightBits.at(name), r.groupSize == 0 ? "row" : std::to_string(r.groupSize), std::to_string(r.activationBits),
                   r.activationBits == 4 && !r.activationSymmetric ? "yes" : "no", std::to_string(r.block), std::to_string(r.mixOrder),
                   std::to_string(r.mixStride)});
    std::printf("\n%s", table.markdown().c_str());
}

int inspect(const std::filesystem::path& folder, bool listTensors) {
    const format::ModelConfig config = format::readModelConfig(folder);
    const format::TensorStore store(folder);
    format::requireModelTensors(config, store);
    printSummary(config, countTensors(config, store));
    if (config.quantization) {
        printSites(config, store);
        if (std::filesystem::exists(folder / "calibration_report.json"))
            std::printf("\n%s", everySiteTable(calibrate::readReport(folder)).markdown().c_str());
    }
    if (!listTensors) return kExitOk;
    Table table({"tensor", "type", "shape", "bytes"});
    for (const format::TensorView& tensor : store.tensors())
        table.add({std::string(tensor.name), std::string(format::dtypeName(tensor.dtype)), shapeText(tensor), std::to_string(tensor.bytes.size())});
    std::printf("\n%s", table.markdown().c_str());
    return kExitOk;
}

}  // namespace

void addInspectCommand(CommandLine& line) {
    Command command = line.command("inspect", "Show what a model folder holds: shapes, recipe, bits per weight, report");
    auto folder = std::make_shared<std::filesystem::path>();
    auto tensors = std::make_shared<bool>(false);
    command.option("MODEL_DIR", *folder, "Model folder, float or calibrated").required();
    command.flag("--tensors", *tensors, "List every tensor");
    command.action([folder, tensors] { return inspect(*folder, *tensors); });
}

}  // namespace vulcat::cli
