#pragma once
// The bytes of a calibrated folder: one file a layer while work goes on, then the folder itself.

#include "calibrate/decoder.h"
#include "calibrate/report.h"

#include "format/names.h"
#include "format/safetensors.h"

#include <nlohmann/json.hpp>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace vulcat::calibrate {

/// One quantised site: its linears must carry codes.
struct BakedSite {
    std::string name;                   ///< see format/names.h
    std::vector<std::string> prefixes;  ///< of the linears, in the order of site.linears
    const Site* site = nullptr;
};

/// Writes codes, scales, code sums and transforms of a layer as one safetensors file, atomically.
void writeLayer(const std::filesystem::path& file, std::span<const BakedSite> sites);

/// Gives a layer of the float model the codes and transforms that writeLayer() wrote; norms and biases stay. `recipes`
/// by SiteKind. Errors: InvalidFile.
void readLayer(const std::filesystem::path& file, const format::ModelConfig& config, int index,
               std::span<const format::SiteRecipe> recipes, Layer& layer);

/// What of the source goes into the output as it is, and what is new.
struct OutputParts {
    const format::TensorStore* source = nullptr;
    std::vector<std::filesystem::path> layerFiles;
    std::vector<std::string> replaced;  ///< names of source tensors that are left out
    std::map<std::string, format::SiteRecipe> sites;
    std::vector<std::string> reordered;  ///< names of source tensors whose last dimension gets `order`
    std::vector<Eigen::Index> order;
};

/// Fills `folder` (empty, existing): model.safetensors, config.json with its quantization_config,
/// calibration_report.json and .html, and the tokenizer's and generation's files copied. Sets report.modelBytes. `check` is
/// called between tensors and may throw.
void writeOutput(const std::filesystem::path& folder, const OutputParts& parts, Report& report,
                 const std::function<void()>& check);

}  // namespace vulcat::calibrate
