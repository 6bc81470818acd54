#include "calibrate/baselines.h"

#include "calibrate/calibrate.h"
#include "calibrate/evaluate.h"

#include "format/model_config.h"

#include "base/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

void roundGroupAsymmetric(std::span<float> group, float steps) {
    float low = 0, high = 0;
    for (const float value : group) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
    const float step = (high - low) / steps;
    if (!(step > 0)) return;
    const float zero = std::nearbyint(-low / step);
    for (float& value : group) value = step * (std::clamp(std::nearbyint(value / step) + zero, 0.0f, steps) - zero);
}

/// A folder to work in beside `folder`, gone when this is.
class ScratchFolder {
  public:
    explicit ScratchFolder(const fs::path& folder) {
        path_ = fs::canonical(folder).concat(".baseline");
        if (fs::exists(path_))
            throw Error(Result::InvalidArgument, path_.string() + " is in the way: the baselines are made there; remove it");
    }
    ~ScratchFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

/// Bits of weights and activations that the folder has at its first site.
struct FolderBits {
    int weights = 4, activations = 4;
    bool head = false;  ///< the output layer is quantised too
};

FolderBits bitsOf(const fs::path& folder) {
    const format::ModelConfig config = format::readModelConfig(folder);
    if (!config.quantization)
        throw Error(Result::InvalidArgument,
                    folder.string() + ": is a float model; baselines are for a calibrated one");
    const format::SiteRecipe recipe = config.recipe(format::siteName(0, SiteKind::Qkv));
    return {recipe.coded ? 4 : recipe.weightBits, recipe.activationBits, config.quantisesHead()};
}

class Comparison {
  public:
    Comparison(const BaselineOptions& options, const Progress& progress)
        : options_(options), progress_(progress), bits_(bitsOf(options.calibrated)) {}

    json table() {
        const ScratchFolder scratch(options_.calibrated);
        add("this calibration", options_.calibrated, bitsPerWeight(readReport(options_.calibrated)));
        const auto calibrated = [&](const std::string& name, Rounding rounding, format::ScaleSearch scales) {
            const Report report = calibrateInto(scratch.path(), rounding, scales);
            add(name, scratch.path(), bitsPerWeight(report));
        };
        calibrated("nearest, symmetric, a scale a row from the largest weight", Rounding::Nearest,
                   format::ScaleSearch::AbsMax);
        calibrated("nearest, symmetric, a searched scale a row", Rounding::Nearest, format::ScaleSearch::Mse);
        for (const int group : {128, 32})
            add("nearest, asymmetric, groups of " + std::to_string(group), options_.modelDir,
                bits_.weights + (16.0 + bits_.weights) / group,
                [this, group](Layer& layer) { roundAsymmetric(layer, bits_.weights, group, bits_.activations); });
        calibrated("GPTQ, a searched scale a row", Rounding::Gptq, format::ScaleSearch::Mse);
        const std::string name = "W" + std::to_string(bits_.weights) + "A" + std::to_string(bits_.activations);
        return {{"model", options_.modelDir.filename().string()},
                {"text", "the judging text, " + std::to_string(tokens_) + " tokens; all but the first row are " + name +
                             " without a transform" + (bits_.head ? ", and with a float output layer" : "")},
                {"float_nll", floatNll_},
                {"rows", rows_}};
    }

  private:
    Report calibrateInto(const fs::path& folder, Rounding rounding, format::ScaleSearch scales) {
        CalibrateOptions calibration;
        calibration.modelDir = options_.modelDir;
        calibration.outDir = folder;
        calibration.overwrite = true;
        calibration.texts = options_.calibration;
        calibration.transform = TransformKind::None;
        calibration.rounding = rounding;
        calibration.scales = scales;
        calibration.weightBits = bits_.weights;
        calibration.activationBits = bits_.activations;
        calibration.threads = options_.threads;
        calibration.stop = options_.stop;
        return calibrate(calibration, progress_);
    }

    void add(const std::string& name, const fs::path& folder, double bits,
             const std::function<void(Layer&)>& prepare = {}) {
        EvaluateOptions evaluation;
        evaluation.modelDir = folder;
        evaluation.baseDir = options_.modelDir;
        evaluation.texts = options_.judging;
        evaluation.threads = options_.threads;
        evaluation.stop = options_.stop;
        evaluation.prepare = prepare;
        const EvaluationResult result = evaluate(evaluation, progress_);
        floatNll_ = *result.baseMeanNll;
        tokens_ = result.tokens;
        rows_.push_back({{"recipe", name},
                         {"bits_per_weight", bits},
                         {"nll", result.meanNll},
                         {"nll_over_float", result.meanNll - floatNll_},
                         {"kl", result.divergence->mean},
                         {"same_top", result.divergence->sameTop}});
    }

    const BaselineOptions& options_;
    const Progress& progress_;
    FolderBits bits_;
    json rows_ = json::array();
    double floatNll_ = 0;
    uint64_t tokens_ = 0;
};

}  // namespace

void roundAsymmetric(Layer& layer, int bits, int groupSize, int activationBits) {
    for (Site& site : layer.sites) {
        site.recipe.activationBits = activationBits;
        for (Linear& linear : site.linears)
            for (Eigen::Index row = 0; row < linear.weight.rows(); ++row)
                for (Eigen::Index begin = 0; begin < linear.weight.cols(); begin += groupSize) {
                    const Eigen::Index count = std::min<Eigen::Index>(groupSize, linear.weight.cols() - begin);
                    roundGroupAsymmetric({linear.weight.row(row).data() + begin, static_cast<size_t>(count)},
                                         static_cast<float>((1 << bits) - 1));
                }
    }
}

json compareBaselines(const BaselineOptions& options, const Progress& progress) {
    return Comparison(options, progress).table();
}

}  // namespace vulcat::calibrate
