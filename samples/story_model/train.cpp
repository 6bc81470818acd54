// Trains the bundled story model on the CPU: a small Llama by back-propagation written out, on OpenBLAS.
//
//   story_model_train TEXT MODEL_DIR MINUTES
//
// TEXT holds stories separated by <|endoftext|>, the last 64 are held out. MODEL_DIR holds the tokenizer made by
// make_tokenizer.py and becomes a BF16 Hugging Face folder. The learning rate follows the clock, so the run ends
// annealed after MINUTES; what is kept is the moving average of the weights with the best held-out loss.
// One thread; some 0.3 s a step, where a general framework took 2 s for this size.

#include "calibrate/texts.h"
#include "format/half.h"
#include "format/safetensors.h"
#include "text/tokenizer.h"

#include <cblas.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>

namespace {

using vulcat::format::DType;

constexpr int kWidth = 256, kFfn = 512, kLayers = 3, kHeads = 4, kKvHeads = 2, kVocab = 1024, kContext = 512;
constexpr int kHeadDim = kWidth / kHeads, kKvWidth = kKvHeads * kHeadDim, kQkv = kWidth + 2 * kKvWidth;
constexpr int kTokens = 256, kBatch = 8, kRows = kTokens * kBatch, kScores = kBatch * kHeads * kTokens * kTokens;
constexpr float kEps = 1e-5f, kPeakRate = 1.5e-3f, kWeightDecay = 0.3f, kAverage = 0.998f;
constexpr int kEvaluateEvery = 200, kHeldOut = 64;

/// C [m, n] = A' B' + beta C, row-major; ' transposes where told.
void multiply(bool ta, bool tb, int m, int n, int k, const float* a, int lda, const float* b, int ldb, float* c, int ldc, float alpha = 1, float beta = 0) {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
/// y [rows, n] = x [rows, k] W^T, W [n, k]
void linear(const float* x, const float* w, float* y, int n, int k, float beta = 0) { multiply(false, true, kRows, n, k, x, k, w, k, y, n, 1, beta); }
/// dx (+)= dy W, dW += dy^T x
void linearBackward(const float* x, const float* w, const float* dy, float* dx, float* dw, int n, int k, float beta) {
    multiply(false, false, kRows, k, n, dy, n, w, k, dx, k, 1, beta);
    multiply(true, false, n, k, kRows, dy, n, x, k, dw, k, 1, 1);
}

struct LayerWeights {
    float *norm1, *qkv, *o, *norm2, *gateUp, *down;
};
struct Weights {
    float* embed;
    LayerWeights layer[kLayers];
    float* norm;

    /// Lays the tensors over one array; returns its length. Matrices come first, so that weight decay is a prefix.
    size_t layOut(float* base) {
        float* at = base;
        const auto take = [&](size_t n) { return std::exchange(at, at + n); };
        embed = take(size_t{kVocab} * kWidth);
        for (LayerWeights& l : layer) {
            l.qkv = take(size_t{kQkv} * kWidth);
            l.o = take(size_t{kWidth} * kWidth);
            l.gateUp = take(size_t{2} * kFfn * kWidth);
            l.down = take(size_t{kWidth} * kFfn);
        }
        for (LayerWeights& l : layer) {
            l.norm1 = take(kWidth);
            l.norm2 = take(kWidth);
        }
        norm = take(kWidth);
        return static_cast<size_t>(at - base);
    }
};
constexpr size_t kNorms = size_t{2 * kLayers + 1} * kWidth;

void rmsNorm(const float* x, const float* gamma, float* y, float* scale) {
    for (int r = 0; r < kRows; ++r, x += kWidth, y += kWidth) {
        float sum = 0;
        for (int k = 0; k < kWidth; ++k) sum += x[k] * x[k];
        scale[r] = 1.0f / std::sqrt(sum / kWidth + kEps);
        for (int k = 0; k < kWidth; ++k) y[k] = x[k] * scale[r] * gamma[k];
    }
}
/// dx += ..., dgamma += ...
void rmsNormBackward(const float* x, const float* gamma, const float* scale, const float* dy, float* dx, float* dgamma) {
    for (int r = 0; r < kRows; ++r, x += kWidth, dy += kWidth, dx += kWidth) {
        float dot = 0;
        for (int k = 0; k < kWidth; ++k) dot += dy[k] * gamma[k] * x[k];
        const float s = scale[r], back = dot * s * s * s / kWidth;
        for (int k = 0; k < kWidth; ++k) {
            dx[k] += s * dy[k] * gamma[k] - back * x[k];
            dgamma[k] += dy[k] * x[k] * s;
        }
    }
}

/// Rotates queries and keys of all rows; direction -1 undoes it (and so carries gradients back).
void rotate(float* qkv, const std::vector<float>& cosine, const std::vector<float>& sine, float direction) {
    constexpr int kHalf = kHeadDim / 2;
    for (int r = 0; r < kRows; ++r, qkv += kQkv) {
        const float *c = &cosine[static_cast<size_t>(r % kTokens) * kHalf], *s = &sine[static_cast<size_t>(r % kTokens) * kHalf];
        for (int h = 0; h < kHeads + kKvHeads; ++h)
            for (int i = 0; i < kHalf; ++i) {
                float &a = qkv[h * kHeadDim + i], &b = qkv[h * kHeadDim + i + kHalf];
                const float rotated = a * c[i] - direction * b * s[i];
                b = b * c[i] + direction * a * s[i];
                a = rotated;
            }
    }
}

/// Addresses of one head's rows inside the stacked q, k, v.
struct Head {
    int q, k, v, out, scores;
    Head(int b, int h)
        : q(b * kTokens * kQkv + h * kHeadDim),
          k(b * kTokens * kQkv + kWidth + h / (kHeads / kKvHeads) * kHeadDim),
          v(k + kKvWidth),
          out(b * kTokens * kWidth + h * kHeadDim),
          scores((b * kHeads + h) * kTokens * kTokens) {}
};
const float kScoreScale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));

void attend(const float* qkv, float* scores, float* out) {
    for (int b = 0; b < kBatch; ++b)
        for (int h = 0; h < kHeads; ++h) {
            const Head at(b, h);
            float* p = scores + at.scores;
            multiply(false, true, kTokens, kTokens, kHeadDim, qkv + at.q, kQkv, qkv + at.k, kQkv, p, kTokens, kScoreScale);
            for (int i = 0; i < kTokens; ++i) {
                float* row = p + i * kTokens;
                const float top = *std::max_element(row, row + i + 1);
                float sum = 0;
                for (int j = 0; j <= i; ++j) sum += row[j] = std::exp(row[j] - top);
                for (int j = 0; j <= i; ++j) row[j] /= sum;
                std::fill(row + i + 1, row + kTokens, 0.0f);
            }
            multiply(false, false, kTokens, kHeadDim, kTokens, p, kTokens, qkv + at.v, kQkv, out + at.out, kWidth);
        }
}
/// dqkv must be zero: key-value heads are shared and add up.
void attendBackward(const float* qkv, const float* scores, const float* dout, float* dqkv) {
    std::vector<float> dp(size_t{kTokens} * kTokens);
    for (int b = 0; b < kBatch; ++b)
        for (int h = 0; h < kHeads; ++h) {
            const Head at(b, h);
            const float* p = scores + at.scores;
            multiply(true, false, kTokens, kHeadDim, kTokens, p, kTokens, dout + at.out, kWidth, dqkv + at.v, kQkv, 1, 1);
            multiply(false, true, kTokens, kTokens, kHeadDim, dout + at.out, kWidth, qkv + at.v, kQkv, dp.data(), kTokens);
            for (int i = 0; i < kTokens; ++i) {
                const float* row = p + i * kTokens;
                float *d = &dp[static_cast<size_t>(i) * kTokens], dot = 0;
                for (int j = 0; j < kTokens; ++j) dot += row[j] * d[j];
                for (int j = 0; j < kTokens; ++j) d[j] = row[j] * (d[j] - dot);
            }
            multiply(false, false, kTokens, kHeadDim, kTokens, dp.data(), kTokens, qkv + at.k, kQkv, dqkv + at.q, kQkv, kScoreScale, 1);
            multiply(true, false, kTokens, kHeadDim, kTokens, dp.data(), kTokens, qkv + at.q, kQkv, dqkv + at.k, kQkv, kScoreScale, 1);
        }
}

/// What the forward pass keeps of a layer for the backward pass.
struct LayerState {
    std::vector<float> input, normed1, scale1, qkv, scores, attention, middle, normed2, scale2, gateUp, product;
    LayerState()
        : input(size_t{kRows} * kWidth), normed1(input.size()), scale1(kRows), qkv(size_t{kRows} * kQkv), scores(kScores), attention(input.size()),
          middle(input.size()), normed2(input.size()), scale2(kRows), gateUp(size_t{kRows} * 2 * kFfn), product(size_t{kRows} * kFfn) {}
};

class Network {
  public:
    Network() {
        for (int t = 0; t < kTokens; ++t)
            for (int i = 0; i < kHeadDim / 2; ++i) {
                const double angle = t * std::pow(10000.0, -2.0 * i / kHeadDim);
                cosine_.push_back(static_cast<float>(std::cos(angle)));
                sine_.push_back(static_cast<float>(std::sin(angle)));
            }
    }

    /// Mean loss of kBatch windows of kTokens + 1 tokens.
    double forward(const Weights& w, const std::vector<const int32_t*>& windows) {
        windows_ = windows;
        for (int r = 0; r < kRows; ++r) std::copy_n(w.embed + token(r) * kWidth, kWidth, &state_[0].input[static_cast<size_t>(r) * kWidth]);
        for (int i = 0; i < kLayers; ++i) {
            LayerState& s = state_[i];
            const LayerWeights& l = w.layer[i];
            std::vector<float>& output = i + 1 < kLayers ? state_[i + 1].input : last_;
            rmsNorm(s.input.data(), l.norm1, s.normed1.data(), s.scale1.data());
            linear(s.normed1.data(), l.qkv, s.qkv.data(), kQkv, kWidth);
            rotate(s.qkv.data(), cosine_, sine_, 1);
            attend(s.qkv.data(), s.scores.data(), s.attention.data());
            s.middle = s.input;
            linear(s.attention.data(), l.o, s.middle.data(), kWidth, kWidth, 1);
            rmsNorm(s.middle.data(), l.norm2, s.normed2.data(), s.scale2.data());
            linear(s.normed2.data(), l.gateUp, s.gateUp.data(), 2 * kFfn, kWidth);
            for (int r = 0; r < kRows; ++r)
                for (int k = 0; k < kFfn; ++k) {
                    const float g = s.gateUp[static_cast<size_t>(r) * 2 * kFfn + static_cast<size_t>(k)];
                    s.product[static_cast<size_t>(r) * kFfn + static_cast<size_t>(k)] =
                        g / (1 + std::exp(-g)) * s.gateUp[static_cast<size_t>(r) * 2 * kFfn + static_cast<size_t>(kFfn + k)];
                }
            output = s.middle;
            linear(s.product.data(), l.down, output.data(), kWidth, kFfn, 1);
        }
        rmsNorm(last_.data(), w.norm, normed_.data(), scale_.data());
        linear(normed_.data(), w.embed, probabilities_.data(), kVocab, kWidth);
        return crossEntropy();
    }

    /// Adds the gradient of the last forward pass's loss to `g`.
    void backward(const Weights& w, Weights& g) {
        for (int r = 0; r < kRows; ++r) probabilities_[static_cast<size_t>(r) * kVocab + static_cast<size_t>(target(r))] -= 1;
        for (float& p : probabilities_) p /= kRows;
        linearBackward(normed_.data(), w.embed, probabilities_.data(), dNormed_.data(), g.embed, kVocab, kWidth, 0);
        std::fill(dx_.begin(), dx_.end(), 0.0f);
        rmsNormBackward(last_.data(), w.norm, scale_.data(), dNormed_.data(), dx_.data(), g.norm);
        for (int i = kLayers - 1; i >= 0; --i) backwardLayer(state_[i], w.layer[i], g.layer[i]);
        for (int r = 0; r < kRows; ++r)
            for (int k = 0; k < kWidth; ++k) g.embed[token(r) * kWidth + k] += dx_[static_cast<size_t>(r) * kWidth + static_cast<size_t>(k)];
    }

  private:
    int token(int r) const { return windows_[static_cast<size_t>(r / kTokens)][r % kTokens]; }
    int target(int r) const { return windows_[static_cast<size_t>(r / kTokens)][r % kTokens + 1]; }

    double crossEntropy() {
        double loss = 0;
        for (int r = 0; r < kRows; ++r) {
            float* row = &probabilities_[static_cast<size_t>(r) * kVocab];
            const float top = *std::max_element(row, row + kVocab);
            float sum = 0;
            for (int v = 0; v < kVocab; ++v) sum += row[v] = std::exp(row[v] - top);
            for (int v = 0; v < kVocab; ++v) row[v] /= sum;
            loss -= std::log(std::max(row[target(r)], 1e-30f));
        }
        return loss / kRows;
    }

    void backwardLayer(const LayerState& s, const LayerWeights& l, LayerWeights& g) {
        linearBackward(s.product.data(), l.down, dx_.data(), dProduct_.data(), g.down, kWidth, kFfn, 0);
        for (int r = 0; r < kRows; ++r)
            for (int k = 0; k < kFfn; ++k) {
                const size_t gate = static_cast<size_t>(r) * 2 * kFfn + static_cast<size_t>(k), up = gate + kFfn;
                const float a = s.gateUp[gate], sigmoid = 1 / (1 + std::exp(-a)), d = dProduct_[static_cast<size_t>(r) * kFfn + static_cast<size_t>(k)];
                dGateUp_[up] = d * a * sigmoid;
                dGateUp_[gate] = d * s.gateUp[up] * sigmoid * (1 + a * (1 - sigmoid));
            }
        linearBackward(s.normed2.data(), l.gateUp, dGateUp_.data(), dNormed_.data(), g.gateUp, 2 * kFfn, kWidth, 0);
        rmsNormBackward(s.middle.data(), l.norm2, s.scale2.data(), dNormed_.data(), dx_.data(), g.norm2);
        linearBackward(s.attention.data(), l.o, dx_.data(), dAttention_.data(), g.o, kWidth, kWidth, 0);
        std::fill(dQkv_.begin(), dQkv_.end(), 0.0f);
        attendBackward(s.qkv.data(), s.scores.data(), dAttention_.data(), dQkv_.data());
        rotate(dQkv_.data(), cosine_, sine_, -1);
        linearBackward(s.normed1.data(), l.qkv, dQkv_.data(), dNormed_.data(), g.qkv, kQkv, kWidth, 0);
        rmsNormBackward(s.input.data(), l.norm1, s.scale1.data(), dNormed_.data(), dx_.data(), g.norm1);
    }

    std::vector<float> cosine_, sine_;
    std::vector<const int32_t*> windows_;
    LayerState state_[kLayers];
    std::vector<float> last_ = std::vector<float>(size_t{kRows} * kWidth), normed_ = last_, scale_ = std::vector<float>(kRows);
    std::vector<float> probabilities_ = std::vector<float>(size_t{kRows} * kVocab);
    std::vector<float> dx_ = last_, dNormed_ = last_, dAttention_ = last_, dQkv_ = std::vector<float>(size_t{kRows} * kQkv);
    std::vector<float> dProduct_ = std::vector<float>(size_t{kRows} * kFfn), dGateUp_ = std::vector<float>(size_t{kRows} * 2 * kFfn);
};

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
