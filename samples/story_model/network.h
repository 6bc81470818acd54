#pragma once
// The story model as a network: a small Llama, forward and backward written out on OpenBLAS. Sizes are constants, the
// batch is kBatch windows of kTokens tokens.

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace vulcat::story {

constexpr int kWidth = 256, kFfn = 512, kLayers = 3, kHeads = 4, kKvHeads = 2, kVocab = 1024, kContext = 512;
constexpr int kHeadDim = kWidth / kHeads, kKvWidth = kKvHeads * kHeadDim, kQkv = kWidth + 2 * kKvWidth;
constexpr int kTokens = 256, kBatch = 8, kRows = kTokens * kBatch, kScores = kBatch * kHeads * kTokens * kTokens;
constexpr float kEps = 1e-5f;

/// C [m, n] = A' B' + beta C, row-major; ' transposes where told.
inline void multiply(bool ta, bool tb, int m, int n, int k, const float* a, int lda, const float* b, int ldb, float* c, int ldc, float alpha = 1, float beta = 0) {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
/// y [rows, n] = x [rows, k] W^T, W [n, k]
inline void linear(const float* x, const float* w, float* y, int n, int k, float beta = 0) { multiply(false, true, kRows, n, k, x, k, w, k, y, n, 1, beta); }
/// dx (+)= dy W, dW += dy^T x
inline void linearBackward(const float* x, const float* w, const float* dy, float* dx, float* dw, int n, int k, float beta) {
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

inline void rmsNorm(const float* x, const float* gamma, float* y, float* scale) {
    for (int r = 0; r < kRows; ++r, x += kWidth, y += kWidth) {
        float sum = 0;
        for (int k = 0; k < kWidth; ++k) sum += x[k] * x[k];
        scale[r] = 1.0f / std::sqrt(sum / kWidth + kEps);
        for (int k = 0; k < kWidth; ++k) y[k] = x[k] * scale[r] * gamma[k];
    }
}
/// dx += ..., dgamma += ...
inline void rmsNormBackward(const float* x, const float* gamma, const float* scale, const float* dy, float* dx, float* dgamma) {
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
inline void rotate(float* qkv, const std::vector<float>& cosine, const std::vector<float>& sine, float direction) {
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
inline const float kScoreScale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));

inline void attend(const float* qkv, float* scores, float* out) {
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
inline void attendBackward(const float* qkv, const float* scores, const float* dout, float* dqkv) {
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

}  // namespace vulcat::story
