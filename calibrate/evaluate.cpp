#include "calibrate/evaluate.h"

#include "calibrate/decoder.h"
#include "calibrate/parallel.h"

#include "text/tokenizer.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vulcat::calibrate {

namespace {

/// log(sum exp(logits)), in double.
double logSum(std::span<const float> logits) {
    const float top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (float v : logits) sum += std::exp(static_cast<double>(v) - top);
    const double result = static_cast<double>(top) + std::log(sum);
    if (!std::isfinite(result)) throw Error(Result::WrongResult, "the model's logits hold NaN or infinity");
    return result;
}

size_t topOf(std::span<const float> logits) {
    return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Moments {
    double mean = 0, standardError = 0;
};

Moments moments(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (double v : values) squares += (v - mean) * (v - mean);
    return {mean, values.size() < 2 ? 0.0 : std::sqrt(squares / (n - 1.0) / n)};
}

/// Nearest rank: the smallest value that at least `share` of all values do not exceed.
double percentile(const std::vector<double>& sorted, double share) {
    const double rank = std::ceil(share * static_cast<double>(sorted.size()));
    return sorted[std::min(sorted.size() - 1, static_cast<size_t>(std::max(rank, 1.0)) - 1)];
}

}  // namespace

void Evaluation::add(std::span<const float> logits, int32_t target) {
    if (target < 0 || static_cast<size_t>(target) >= logits.size())
        throw Error(Result::InvalidArgument, "a target token is outside the vocabulary");
    nll_.push_back(logSum(logits) - static_cast<double>(logits[static_cast<size_t>(target)]));
}

void Evaluation::add(std::span<const float> logits, std::span<const float> baseLogits, int32_t target) {
    if (logits.size() != baseLogits.size())
        throw Error(Result::InvalidArgument, "model and base model have vocabularies of different size");
    const double baseSum = logSum(baseLogits);
    add(logits, target);
    const double sum = nll_.back() + static_cast<double>(logits[static_cast<size_t>(target)]);
    baseNll_.push_back(baseSum - static_cast<double>(baseLogits[static_cast<size_t>(target)]));
    double divergence = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
        const double logBase = static_cast<double>(baseLogits[i]) - baseSum;
        divergence += std::exp(logBase) * (logBase - (static_cast<double>(logits[i]) - sum));
    }
    divergence_.push_back(std::max(divergence, 0.0));  // rounding can leave a tiny negative for equal rows
    if (topOf(logits) == topOf(baseLogits)) ++sameTop_;
}

EvaluationResult Evaluation::result() const {
    if (nll_.empty()) throw Error(Result::InvalidArgument, "no token was evaluated");
    EvaluationResult result;
    result.tokens = nll_.size();
    const Moments nll = moments(nll_);
    result.meanNll = nll.mean;
    result.standardError = nll.standardError;
    result.perplexity = std::exp(nll.mean);
    result.perplexityError = result.perplexity * nll.standardError;
    if (divergence_.empty()) return result;
    result.baseMeanNll = moments(baseNll_).mean;
    std::vector<double> sorted = divergence_;
    std::sort(sorted.begin(), sorted.end());
    const Moments mean = moments(divergence_);
    Divergence d{mean.mean, mean.standardError};
    d.median = percentile(sorted, 0.5);
    d.percentile99 = percentile(sorted, 0.99);
    d.percentile999 = percentile(sorted, 0.999);
    d.maximum = sorted.back();
    const auto n = static_cast<double>(divergence_.size());
    d.sameTop = static_cast<double>(sameTop_) / n;
    d.sameTopStandardError = std::sqrt(d.sameTop * (1.0 - d.sameTop) / n);
    result.divergence = d;
    return result;
}

EvaluationResult evaluate(const EvaluateOptions& options, const Progress& progress) {
    const SerialBlas serial;
    const Decoder model(options.modelDir);
    std::optional<Decoder> base;
    if (options.baseDir) base.emplace(*options.baseDir);
    if (base && base->config().vocabSize != model.config().vocabSize)
        throw Error(Result::InvalidFile, options.baseDir->string() + "/config.json: vocab_size " +
                                             std::to_string(base->config().vocabSize) + " differs from the model's " +
                                             std::to_string(model.config().vocabSize));
    const text::Tokenizer tokenizer(options.modelDir);
    const int context =
        base ? std::min(base->config().maxPositions, model.config().maxPositions) : model.config().maxPositions;
    const std::vector<Sequence> sequences = readSequences(options.texts, tokenizer, context);
    const int threads = threadCount(options.threads);
    const int layers = model.config().layers + (base ? base->config().layers : 0);
    ProgressMeter meter(progress, static_cast<uint64_t>(layers) + 1);
    meter.stage("model");
    const auto step = [&] { meter.advance(1); };
    std::vector<Matrix> hidden = hiddenStates(model, sequences, threads, options.stop, step, options.prepare);
    std::vector<Matrix> baseHidden;
    if (base) {
        meter.stage("base model");
        baseHidden = hiddenStates(*base, sequences, threads, options.stop, step);
    }
    meter.stage("logits");
    Evaluation evaluation;
    constexpr Eigen::Index kRows = 256;  // of logits at a time: vocabularies are large
    const auto vocab = static_cast<size_t>(model.config().vocabSize);
    for (size_t s = 0; s < sequences.size(); ++s) {
        if (options.stop != nullptr && *options.stop) throw Error(Result::Cancelled, "stopped on request");
        const Eigen::Index last = hidden[s].rows() - 1;  // the last token predicts nothing that is known
        for (Eigen::Index begin = 0; begin < last; begin += kRows) {
            const Eigen::Index rows = std::min(kRows, last - begin);
            const Matrix logits = model.logits(hidden[s].middleRows(begin, rows));
            Matrix baseLogits;
            if (base) baseLogits = base->logits(baseHidden[s].middleRows(begin, rows));
            for (Eigen::Index r = 0; r < rows; ++r) {
                const std::span<const float> row(logits.row(r).data(), vocab);
                const int32_t target = sequences[s][static_cast<size_t>(begin + r + 1)];
                if (base)
                    evaluation.add(row, {baseLogits.row(r).data(), vocab}, target);
                else
                    evaluation.add(row, target);
            }
        }
    }
    meter.advance(1);
    return evaluation.result();
}

}  // namespace vulcat::calibrate
