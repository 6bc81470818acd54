// vulcat eval: how well a model predicts a text, on a Vulkan device or with the CPU decoder, alone or against a base model.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/gpu_model.h"
#include "cli/terminal.h"

#include "calibrate/evaluate.h"
#include "calibrate/texts.h"
#include "model/session.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <span>

namespace vulcat::cli {
namespace {

struct EvalArguments {
    calibrate::EvaluateOptions options;
    std::filesystem::path base;
    std::string device = "auto";
    std::string format = "text";
    uint32_t last = 0;
    bool cpu = false;
};

// Tokens whose logits are held at once: with a vocabulary of 128256 this many rows are 128 MiB.
constexpr size_t kTokensAtOnce = 256;

/// Logits of a sequence's tokens, part by part, as a session of its own context gives them.
class SequenceLogits {
  public:
    SequenceLogits(OpenDevice& device, const std::filesystem::path& folder, uint32_t longest)
        : gpu_(device, folder), session_(gpu_.model(), {.contextLength = longest, .chunkRows = 0, .logitRows = 128, .warmUp = false}) {}

    const GpuModel& gpu() const { return gpu_; }
    void restart() { session_.reset(); }
    std::vector<float> next(std::span<const int32_t> tokens) { return session_.forward(tokens, model::LogitsRows::All); }

  private:
    GpuModel gpu_;
    model::Session session_;
};

void requireSameVocabulary(const format::ModelConfig& a, const format::ModelConfig& b) {
    if (a.vocabSize != b.vocabSize)
        throw Error(Result::InvalidFile, "the models' vocabularies differ (" + std::to_string(a.vocabSize) + " and " +
                                                 std::to_string(b.vocabSize) + " tokens); --base must name the float model it was calibrated from");
}

void evaluateSequence(std::span<const int32_t> sequence, SequenceLogits& model, SequenceLogits* base, size_t vocabulary,
                      calibrate::Evaluation& evaluation) {
    model.restart();
    if (base != nullptr) base->restart();
    for (size_t begin = 0; begin + 1 < sequence.size(); begin += kTokensAtOnce) {
        stopIfInterrupted();
        // The last token predicts nothing that is known.
        const auto part = sequence.subspan(begin, std::min(kTokensAtOnce, sequence.size() - 1 - begin));
        const std::vector<float> logits = model.next(part);
        const std::vector<float> baseLogits = base != nullptr ? base->next(part) : std::vector<float>();
        for (size_t t = 0; t < part.size(); ++t) {
            const std::span<const float> row(logits.data() + t * vocabulary, vocabulary);
            if (base != nullptr)
                evaluation.add(row, {baseLogits.data() + t * vocabulary, vocabulary}, sequence[begin + t + 1]);
            else
                evaluation.add(row, sequence[begin + t + 1]);
        }
    }
}

calibrate::EvaluationResult evaluateOnDevice(const EvalArguments& a) {
    const format::ModelConfig config = format::readModelConfig(a.options.modelDir);
    const text::Tokenizer tokenizer(a.options.modelDir);
    const std::vector<calibrate::Sequence> sequences = calibrate::readSequences(a.options.texts, tokenizer, config.maxPositions);
    uint32_t longest = 0;
    for (const calibrate::Sequence& s : sequences) longest = std::max(longest, static_cast<uint32_t>(s.size()));
    OpenDevice device(a.device);
    SequenceLogits model(device, a.options.modelDir, longest);
    std::unique_ptr<SequenceLogits> base;
    if (a.options.baseDir) {
        requireSameVocabulary(config, format::readModelConfig(*a.options.baseDir));
        base = std::make_unique<SequenceLogits>(device, *a.options.baseDir, longest);
    }
    const size_t vocabulary = static_cast<size_t>(config.vocabSize);
    calibrate::Evaluation evaluation;
    ProgressLine line;
    for (size_t i = 0; i < sequences.size(); ++i) {
        evaluateSequence(sequences[i], model, base.get(), vocabulary, evaluation);
        line.update("evaluating", i + 1, sequences.size());
    }
    return evaluation.result();
}

calibrate::EvaluationResult evaluateOnCpu(const EvalArguments& a) {
    ProgressLine line;
    return calibrate::evaluate(a.options, [&](const calibrate::ProgressUpdate& u) { line.update(u.stage, u.done, u.total, u.remainingSeconds); });
}

void printText(const calibrate::EvaluationResult& r) {
    const auto line = [](const char* name, const std::string& value, const std::string& error = "") {
        std::printf("%-24s %s%s%s\n", name, value.c_str(), error.empty() ? "" : " +- ", error.c_str());
    };
    line("Tokens", std::to_string(r.tokens));
    line("Mean NLL (nats)", fixed(r.meanNll, 6), fixed(r.standardError, 6));
    line("Perplexity", fixed(r.perplexity, 4), fixed(r.perplexityError, 4));
    if (r.baseMeanNll) {
        line("Mean NLL (base)", fixed(*r.baseMeanNll, 6));
        line("NLL over base", fixed(r.meanNll - *r.baseMeanNll, 6));
    }
    if (!r.divergence) return;
    const calibrate::Divergence& d = *r.divergence;
    line("Mean    KLD (nats)", fixed(d.mean, 6), fixed(d.standardError, 6));
    line("Maximum KLD", fixed(d.maximum, 6));
    line("99.9%   KLD", fixed(d.percentile999, 6));
    line("99.0%   KLD", fixed(d.percentile99, 6));
    line("Median  KLD", fixed(d.median, 6));
    line("Same top p", fixed(100 * d.sameTop, 3) + " %", fixed(100 * d.sameTopStandardError, 3) + " %");
}

void printJson(const calibrate::EvaluationResult& r) {
    nlohmann::ordered_json json{{"tokens", r.tokens}, {"mean_nll", r.meanNll}, {"mean_nll_error", r.standardError},
                                {"perplexity", r.perplexity}, {"perplexity_error", r.perplexityError}};
    if (r.baseMeanNll) json["base_mean_nll"] = *r.baseMeanNll;
    if (r.divergence) {
        const calibrate::Divergence& d = *r.divergence;
        json["kld"] = {{"mean", d.mean}, {"mean_error", d.standardError}, {"median", d.median}, {"p99", d.percentile99},
                       {"p999", d.percentile999}, {"maximum", d.maximum}};
        json["same_top"] = d.sameTop;
    }
    std::puts(json.dump(2).c_str());
}

int evaluateModel(const EvalArguments& a) {
    const calibrate::EvaluationResult result = a.cpu ? evaluateOnCpu(a) : evaluateOnDevice(a);
    if (a.format == "json")
        printJson(result);
    else
        printText(result);
    return kExitOk;
}

}  // namespace

void addEvalCommand(CommandLine& line) {
    Command command = line.command("eval", "Negative log-likelihood and perplexity on a text, and divergence from a base model");
    auto a = std::make_shared<EvalArguments>();
    calibrate::EvaluateOptions& o = a->options;
    o.texts.seqLen = 2048;
    o.stop = &interrupted;
    command.option("MODEL_DIR", o.modelDir, "Model folder, float or calibrated").required();
    command.option("-f,--text", o.texts.files, "Text to predict, UTF-8; several files may follow").required();
    command.option("--base", a->base, "The float model to compare with: KL divergence and same top token");
    command.option("--separator", o.texts.separator, "What stands between texts in a file; none: one long text cut into windows");
    const Argument samples = command.option("--samples", o.texts.samples, "Sequences to use, from the start; 0: all").atLeastZero();
    command.option("--last", a->last, "Use this many sequences from the end instead").excludes(samples).positive();
    command.option("--seq-len", o.texts.seqLen, "Tokens in a sequence at most (and never more than the model's context)").range(2, 1 << 20);
    command.option("-d,--device", a->device, "auto, or an index, a UUID, or part of a name of `vulcat devices`");
    command.flag("--cpu", a->cpu, "Use the calibrator's own decoder on the CPU instead of a Vulkan device");
    command.option("-t,--threads", o.threads, "CPU threads of --cpu; 0: as many as it may use").range(0, 1024);
    command.option("--format", a->format, "Output format").oneOf({"text", "json"});
    command.action([a] {
        if (!a->base.empty()) a->options.baseDir = a->base;
        if (a->last > 0) {
            a->options.texts.samples = static_cast<int>(a->last);
            a->options.texts.fromEnd = true;
        }
        return evaluateModel(*a);
    });
}

}  // namespace vulcat::cli
