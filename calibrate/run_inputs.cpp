#include "calibrate/run_inputs.h"

#include "calibrate/fingerprint.h"
#include "calibrate/team.h"

#include "format/mapped_file.h"
#include "text/tokenizer.h"

#include "base/error.h"

#include <utility>

namespace vulcat::calibrate {

std::vector<Sequence> readInputs(const CalibrateOptions& options, const Decoder& decoder) {
    if (decoder.config().quantization)
        throw Error(Result::Unsupported,
                    options.modelDir.string() + ": is calibrated already; start from the float model");
    for (const format::TensorView& tensor : decoder.tensors().tensors())
        if (tensor.dtype == format::DType::F32 || tensor.dtype == format::DType::F16 ||
            tensor.dtype == format::DType::BF16) {
            format::requireFinite(tensor);
            format::forgetPages(tensor.bytes);
        }
    if (!options.statistics.empty()) return {};
    return readSequences(options.texts, text::Tokenizer(options.modelDir), decoder.config().maxPositions);
}

std::optional<StatisticsSource> openStatistics(const CalibrateOptions& options, const Decoder& decoder) {
    if (options.statistics.empty()) return std::nullopt;
    return std::optional<StatisticsSource>(std::in_place, options.statistics, decoder.config(), decoder.tensors());
}

std::string fingerprintOf(const CalibrateOptions& options, const nlohmann::ordered_json& recipe, const Decoder& decoder,
                          const std::vector<Sequence>& sequences, const std::optional<StatisticsSource>& statistics) {
    const std::string inputs = fingerprint(recipe, options.seed, decoder.tensors(), sequences);
    if (!statistics) return inputs;
    Hasher hasher;
    hasher.add(inputs);
    hasher.add(statistics->digest());
    return hasher.digest();
}

double tokensOfOne(const std::vector<Sequence>& sequences) {
    constexpr double kElsewhere = 256;  // from statistics no sequence passes
    double tokens = 0;
    for (const Sequence& sequence : sequences) tokens += static_cast<double>(sequence.size());
    return sequences.empty() ? kElsewhere : tokens / static_cast<double>(sequences.size());
}

WorkFolder openWork(const CalibrateOptions& options, const std::string& fingerprint) {
    const bool owner = options.team == nullptr || options.team->rank() == 0;
    if (!owner) options.team->meet();
    return WorkFolder(options.outDir, fingerprint, options.overwrite, owner);
}

}  // namespace vulcat::calibrate
