#pragma once
// How good a model is on text: negative log-likelihood, and against a base model the Kullback-Leibler divergence and
// how often both name the same most likely token. The accumulator works on rows of logits, whoever computed them.

#include "calibrate/options.h"
#include "calibrate/progress.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace vulcat::calibrate {

/// KL(base || model) of the next-token distributions, in nats a token, and agreement of the most likely token.
struct Divergence {
    double mean = 0, standardError = 0;
    double median = 0, percentile99 = 0, percentile999 = 0, maximum = 0;  ///< nearest-rank percentiles
    double sameTop = 0;                                                   ///< share of tokens, 0..1
    double sameTopStandardError = 0;
};

struct EvaluationResult {
    uint64_t tokens = 0;         ///< predicted tokens
    double meanNll = 0;          ///< nats a token
    double standardError = 0;    ///< of meanNll, tokens taken as independent
    double perplexity = 0;       ///< exp(meanNll)
    double perplexityError = 0;  ///< perplexity * standardError
    std::optional<double> baseMeanNll;
    std::optional<Divergence> divergence;
};

/// Collects rows. Not for use by several threads at once; the result does not depend on anything but the order of rows.
class Evaluation {
  public:
    /// The row predicts `target`. Precondition: 0 <= target < logits.size(). Throws Error(WrongResult) on NaN logits.
    void add(std::span<const float> logits, int32_t target);
    /// The same, compared with the base model's row of equal length.
    void add(std::span<const float> logits, std::span<const float> baseLogits, int32_t target);
    /// Precondition: at least one row, else Error(InvalidArgument).
    EvaluationResult result() const;

  private:
    std::vector<double> nll_;
    std::vector<double> baseNll_;
    std::vector<double> divergence_;
    uint64_t sameTop_ = 0;
};

struct Layer;

struct EvaluateOptions {
    std::filesystem::path modelDir;                ///< float or baked
    std::optional<std::filesystem::path> baseDir;  ///< must have the same vocabulary size
    TextOptions texts;
    /// Called on each layer of the model (not of the base) before it is used, to try what no folder holds.
    std::function<void(Layer&)> prepare = {};
    int threads = 0;
    const std::atomic<bool>* stop = nullptr;
};

/// Evaluates with the float decoder of this floor, layer by layer. Each sequence's tokens but the first are predicted.
EvaluationResult evaluate(const EvaluateOptions& options, const Progress& progress = {});

}  // namespace vulcat::calibrate
