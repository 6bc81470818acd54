// Trains the bundled story model on the CPU: a small Llama by back-propagation written out, on OpenBLAS.
//
//   story_model_train TEXT MODEL_DIR MINUTES
//
// TEXT holds stories separated by <|endoftext|>, the last 64 are held out. MODEL_DIR holds the tokenizer made by
// make_tokenizer.py and becomes a BF16 Hugging Face folder. The learning rate follows the clock, so the run ends
// annealed after MINUTES; what is kept is the moving average of the weights with the best held-out loss.
// One thread; some 0.3 s a step, where a general framework took 2 s for this size.

#include "story_model/network.h"

#include "calibrate/texts.h"
#include "format/half.h"
#include "format/safetensors.h"
#include "text/tokenizer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>

namespace {

using namespace vulcat::story;
using vulcat::format::DType;

constexpr float kPeakRate = 1.5e-3f, kWeightDecay = 0.3f, kAverage = 0.998f;
constexpr int kEvaluateEvery = 200, kHeldOut = 64;

/// AdamW with a moving average of the weights.
struct Optimizer {
    std::vector<float> momentum, square, average;
    int step = 0;
    explicit Optimizer(const std::vector<float>& weights) : momentum(weights.size()), square(weights.size()), average(weights) {}

    void update(std::vector<float>& weights, std::vector<float>& gradient, float rate) {
        constexpr float kBeta1 = 0.9f, kBeta2 = 0.95f;
        ++step;
        double norm = 0;
        for (float g : gradient) norm += double{g} * g;
        const float clip = static_cast<float>(std::min(1.0, 1.0 / std::sqrt(norm + 1e-12)));
        const float bias1 = 1 - std::pow(kBeta1, static_cast<float>(step)), bias2 = 1 - std::pow(kBeta2, static_cast<float>(step));
        const float keep = std::min(kAverage, static_cast<float>(step) / static_cast<float>(step + 10));
        const size_t decayed = weights.size() - kNorms;
        for (size_t i = 0; i < weights.size(); ++i) {
            const float g = gradient[i] * clip;
            momentum[i] = kBeta1 * momentum[i] + (1 - kBeta1) * g;
            square[i] = kBeta2 * square[i] + (1 - kBeta2) * g * g;
            const float decay = i < decayed ? kWeightDecay * weights[i] : 0.0f;
            weights[i] -= rate * (momentum[i] / bias1 / (std::sqrt(square[i] / bias2) + 1e-8f) + decay);
            average[i] += (1 - keep) * (weights[i] - average[i]);
            gradient[i] = 0;
        }
    }
};

void save(const Weights& w, const std::filesystem::path& folder) {
    using Shape = std::vector<uint64_t>;
    struct Entry {
        std::string name;
        Shape shape;
        const float* data;
    };
    std::vector<Entry> entries{{"model.embed_tokens.weight", {kVocab, kWidth}, w.embed}, {"model.norm.weight", {kWidth}, w.norm}};
    for (int i = 0; i < kLayers; ++i) {
        const LayerWeights& l = w.layer[i];
        const std::string p = "model.layers." + std::to_string(i) + ".";
        entries.push_back({p + "input_layernorm.weight", {kWidth}, l.norm1});
        entries.push_back({p + "post_attention_layernorm.weight", {kWidth}, l.norm2});
        entries.push_back({p + "self_attn.q_proj.weight", {kWidth, kWidth}, l.qkv});
        entries.push_back({p + "self_attn.k_proj.weight", {kKvWidth, kWidth}, l.qkv + kWidth * kWidth});
        entries.push_back({p + "self_attn.v_proj.weight", {kKvWidth, kWidth}, l.qkv + (kWidth + kKvWidth) * kWidth});
        entries.push_back({p + "self_attn.o_proj.weight", {kWidth, kWidth}, l.o});
        entries.push_back({p + "mlp.gate_proj.weight", {kFfn, kWidth}, l.gateUp});
        entries.push_back({p + "mlp.up_proj.weight", {kFfn, kWidth}, l.gateUp + kFfn * kWidth});
        entries.push_back({p + "mlp.down_proj.weight", {kWidth, kFfn}, l.down});
    }
    std::vector<vulcat::format::TensorSpec> specs;
    for (const Entry& e : entries) specs.push_back({e.name, DType::BF16, e.shape});
    vulcat::format::SafetensorsWriter writer(folder / "model.safetensors", specs, {{"format", "pt"}});
    for (const Entry& e : entries) {
        std::vector<uint16_t> bits(e.shape.size() == 2 ? e.shape[0] * e.shape[1] : e.shape[0]);
        for (size_t k = 0; k < bits.size(); ++k) bits[k] = vulcat::format::floatToBfloat16(e.data[k]);
        writer.write(e.name, std::span<const uint16_t>(bits));
    }
    writer.finish();
    const nlohmann::ordered_json config{{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"}, {"hidden_act", "silu"},
                                        {"hidden_size", kWidth}, {"intermediate_size", kFfn}, {"num_hidden_layers", kLayers},
                                        {"num_attention_heads", kHeads}, {"num_key_value_heads", kKvHeads}, {"head_dim", kHeadDim},
                                        {"vocab_size", kVocab}, {"max_position_embeddings", kContext}, {"rms_norm_eps", 1e-5},
                                        {"rope_theta", 10000.0}, {"tie_word_embeddings", true}, {"attention_bias", false},
                                        {"mlp_bias", false}, {"bos_token_id", 0}, {"eos_token_id", 0}, {"torch_dtype", "bfloat16"}};
    std::ofstream(folder / "config.json") << config.dump(2) << "\n";
    std::ofstream(folder / "generation_config.json") << nlohmann::ordered_json{{"bos_token_id", 0}, {"eos_token_id", 0}}.dump(2) << "\n";
}

double evaluate(Network& network, const Weights& w, const std::vector<int32_t>& tokens) {
    double loss = 0;
    int batches = 0;
    for (size_t at = 0; at + kRows + 1 <= tokens.size(); at += kRows, ++batches) {
        std::vector<const int32_t*> windows;
        for (int b = 0; b < kBatch; ++b) windows.push_back(&tokens[at + static_cast<size_t>(b) * kTokens]);
        loss += network.forward(w, windows);
    }
    return loss / batches;
}

/// The largest relative difference between gradients and central differences of the loss at some weights.
void checkGradients(Network& network, std::vector<float>& values, Weights& w, std::vector<float>& gradient, Weights& g,
                    const std::vector<const int32_t*>& windows) {
    network.forward(w, windows);
    network.backward(w, g);
    std::mt19937 random(3);
    for (int i = 0; i < 12; ++i) {
        size_t at = 0;  // a weight that matters: the largest gradient of a random few
        for (int j = 0; j < 2000; ++j)
            if (const size_t k = (i % 4 == 3 ? values.size() - 1 - random() % kNorms : random() % values.size()); std::fabs(gradient[k]) > std::fabs(gradient[at]) || j == 0) at = k;
        const float keep = values[at], h = 1e-2f;
        values[at] = keep + h;
        const double up = network.forward(w, windows);
        values[at] = keep - h;
        const double down = network.forward(w, windows);
        values[at] = keep;
        std::printf("weight %zu: gradient %.6f, difference quotient %.6f\n", at, static_cast<double>(gradient[at]), (up - down) / (2.0 * static_cast<double>(h)));
    }
    std::fill(gradient.begin(), gradient.end(), 0.0f);
}

int train(const std::filesystem::path& text, const std::filesystem::path& folder, double minutes) {
    const vulcat::text::Tokenizer tokenizer(folder);
    const std::vector<std::string> stories = vulcat::calibrate::readPieces(text, "<|endoftext|>");
    std::vector<int32_t> tokens, held;
    for (size_t i = 0; i < stories.size(); ++i) {
        const std::vector<int32_t> ids = tokenizer.encode(stories[i], true);
        std::vector<int32_t>& to = i + kHeldOut < stories.size() ? tokens : held;
        to.insert(to.end(), ids.begin(), ids.end());
    }
    Weights w{}, g{}, averaged{};
    std::vector<float> values(w.layOut(nullptr)), gradient(values.size());
    w.layOut(values.data());
    g.layOut(gradient.data());
    std::mt19937_64 random(7);
    std::normal_distribution<float> normal(0, 0.02f);
    for (size_t i = 0; i < values.size(); ++i) values[i] = i < values.size() - kNorms ? normal(random) : 1.0f;
    std::printf("%zu stories, %zu tokens, held out %zu, %zu parameters\n", stories.size(), tokens.size(), held.size(), values.size());

    Network network;
    const auto batch = [&] {
        std::vector<const int32_t*> windows;
        for (int b = 0; b < kBatch; ++b) windows.push_back(&tokens[random() % (tokens.size() - kTokens - 1)]);
        return windows;
    };
    checkGradients(network, values, w, gradient, g, batch());
    Optimizer optimizer(values);
    averaged.layOut(optimizer.average.data());
    double best = 1e9;
    const auto begin = std::chrono::steady_clock::now();
    for (double share = 0; share < 1;) {
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        share = std::min(1.0, seconds / (60 * minutes));
        const double warm = std::min(1.0, (optimizer.step + 1) / 200.0);
        const float rate = kPeakRate * static_cast<float>(warm * (0.03 + 0.97 * 0.5 * (1 + std::cos(3.141592653589793 * share))));
        const double loss = network.forward(w, batch());
        network.backward(w, g);
        optimizer.update(values, gradient, rate);
        if (optimizer.step % kEvaluateEvery != 0 && share < 1) continue;
        const double now = evaluate(network, averaged, held);
        if (now < best) {
            best = now;
            save(averaged, folder);
        }
        std::printf("step %d loss %.4f held-out %.4f best %.4f rate %.2e %.0f s\n", optimizer.step, loss, now, best, static_cast<double>(rate), seconds);
        std::fflush(stdout);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: story_model_train TEXT MODEL_DIR MINUTES\n", stderr);
        return 2;
    }
    try {
        return train(argv[1], argv[2], std::atof(argv[3]));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
