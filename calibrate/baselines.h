#pragma once
// What simpler quantisers cost the same model on the same text: the yardsticks of a calibration.

#include "calibrate/decoder.h"
#include "calibrate/options.h"
#include "calibrate/progress.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>

namespace vulcat::calibrate {

struct BaselineOptions {
    std::filesystem::path modelDir;    ///< the float model
    std::filesystem::path calibrated;  ///< a folder made from it, the table's first row
    TextOptions calibration;           ///< for GPTQ
    TextOptions judging;
    int threads = 0;
    const std::atomic<bool>* stop = nullptr;
};

/// Rounds the layer's weights to `bits` with a smallest and a largest value for each row's groups of `groupSize` inputs
/// (asymmetric: range / (2^bits - 1) steps, an integer zero point), and has activations rounded to `activationBits`.
/// The result is float weights that such codes stand for.
void roundAsymmetric(Layer& layer, int bits, int groupSize, int activationBits);

/// Evaluates the calibrated folder and, with its bits of weights (4 where it is entropy-coded) and activations and no
/// transform: nearest with one scale a row, from the largest weight and searched; nearest with asymmetric groups of 128
/// and of 32; GPTQ. Works in the folder `calibrated`.baseline, which must
/// not exist and is removed again. The form is that of htmlReport()'s
/// `quality`. Errors: as calibrate() and evaluate().
nlohmann::ordered_json compareBaselines(const BaselineOptions& options, const Progress& progress = {});

}  // namespace vulcat::calibrate
