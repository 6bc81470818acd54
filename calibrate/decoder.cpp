#include "calibrate/decoder.h"

#include "calibrate/parallel.h"
#include "calibrate/residual_order.h"

#include "format/mapped_file.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <string>

namespace vulcat::calibrate {

namespace {

Eigen::Index index(int n) {
    return n;
}

std::vector<float> readVector(const format::TensorStore& store, const std::string& name) {
    const format::TensorView& tensor = store.at(name);
    format::requireFinite(tensor);
    return format::toFloat(tensor);
}

Matrix readMatrix(const format::TensorStore& store, std::string_view name, uint64_t rows, uint64_t columns) {
    const format::TensorView& tensor = store.at(name);
    format::requireShape(tensor, {rows, columns});
    format::requireFinite(tensor);
    Matrix matrix(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns));
    format::toFloat(tensor, std::span<float>(matrix.data(), static_cast<size_t>(matrix.size())));
    format::forgetPages(tensor.bytes);
    return matrix;
}

/// Radians a position of each rotated pair; long wavelengths slowed down as rope type llama3 does.
std::vector<double> rotaryFrequencies(const format::ModelConfig& config) {
    std::vector<double> frequencies(static_cast<size_t>(config.headDim / 2));
    for (size_t i = 0; i < frequencies.size(); ++i) {
        double f = std::pow(config.ropeTheta, -2.0 * static_cast<double>(i) / config.headDim);
        if (config.ropeScaling) {
            const format::RopeScaling& s = *config.ropeScaling;
            const double turns = s.originalMaxPosition * f / 6.283185307179586476925;  // over the original context
            if (turns < s.lowFreqFactor) {
                f /= s.factor;
            } else if (turns < s.highFreqFactor) {
                const double smooth = (turns - s.lowFreqFactor) / (s.highFreqFactor - s.lowFreqFactor);
                f = (1.0 - smooth) * f / s.factor + smooth * f;
            }
        }
        frequencies[i] = f;
    }
    return frequencies;
}

Matrix rmsNorm(const Matrix& x, const std::vector<float>& gamma, float epsilon) {
    const Eigen::Map<const Eigen::RowVectorXf> g(gamma.data(), static_cast<Eigen::Index>(gamma.size()));
    Matrix y(x.rows(), x.cols());
    for (Eigen::Index t = 0; t < x.rows(); ++t) {
        const double mean = x.row(t).cast<double>().squaredNorm() / static_cast<double>(x.cols());
        y.row(t) = (x.row(t) * static_cast<float>(1.0 / std::sqrt(mean + epsilon))).cwiseProduct(g);
    }
    return y;
}

/// "model.embed_tokens.weight" -> "model.embed_tokens"
std::string withoutSuffix(std::string_view weightName) {
    return std::string(weightName.substr(0, weightName.rfind('.')));
}

Linear readLinear(const format::TensorStore& store, const format::LinearInfo& info, const format::SiteRecipe& recipe) {
    Linear linear;
    if (recipe.weightBits == 16)
        linear.weight = readMatrix(store, info.prefix + ".weight", info.rows, info.columns);
    else
        linear.codes = format::readQuantisedMatrix(store, info.prefix, info.rows, info.columns, recipe.weightBits,
                                                   static_cast<uint64_t>(recipe.groupSize), recipe.coded);
    if (info.bias) linear.bias = readVector(store, info.prefix + ".bias");
    return linear;
}

}  // namespace

struct Decoder::Head {
    std::once_flag once;
    Site site;
};

Decoder::Decoder(const std::filesystem::path& folder)
    : folder_(folder), config_(format::readModelConfig(folder)), tensors_(folder), head_(std::make_shared<Head>()) {
    format::requireModelTensors(config_, tensors_);
    finalNorm_ = readVector(tensors_, std::string(format::kFinalNormName));
    frequencies_ = rotaryFrequencies(config_);
}

void Decoder::orderResidual(std::vector<Eigen::Index> order) {
    residual_ = std::move(order);
    finalNorm_ = readVector(tensors_, std::string(format::kFinalNormName));
    if (!residual_.empty()) finalNorm_ = inOrder(finalNorm_, residual_);
    head_ = std::make_shared<Head>();
}

Matrix Decoder::embed(std::span<const int32_t> tokens) const {
    const format::TensorView& table = tensors_.at(format::kEmbeddingName);
    const auto d = static_cast<size_t>(config_.hiddenSize);
    Matrix rows(static_cast<Eigen::Index>(tokens.size()), index(config_.hiddenSize));
    for (size_t t = 0; t < tokens.size(); ++t) {
        if (tokens[t] < 0 || tokens[t] >= config_.vocabSize)
            throw Error(Result::InvalidArgument,
                        folder_.string() + ": token " + std::to_string(tokens[t]) + " is outside the vocabulary of " +
                            std::to_string(config_.vocabSize) + "; do tokenizer and model belong together?");
        float* row = rows.data() + t * d;
        format::toFloat(table, static_cast<uint64_t>(tokens[t]) * d, std::span<float>(row, d));
        if (!rows.row(static_cast<Eigen::Index>(t)).allFinite())
            throw Error(Result::InvalidFile, folder_.string() + ": tensor '" + std::string(format::kEmbeddingName) +
                                                 "' holds NaN or infinity in row " + std::to_string(tokens[t]));
    }
    return residual_.empty() ? rows : columnsInOrder(rows, residual_);
}

Layer Decoder::layer(int index) const {
    Layer layer;
    layer.attentionNorm = readVector(tensors_, format::inputNormName(index));
    layer.mlpNorm = readVector(tensors_, format::postAttentionNormName(index));
    for (SiteKind kind : format::kSites) layer.site(kind) = readSite(index, kind);
    if (!residual_.empty()) calibrate::orderResidual(layer, residual_);
    return layer;
}

Site Decoder::readSite(int index, SiteKind kind) const {
    Site site;
    const std::string name = format::siteName(index, kind);
    site.recipe = config_.recipe(name);
    if (site.recipe.block > 0 || site.recipe.mixOrder > 1)
        site.transform = format::readTransform(tensors_, name, site.recipe, format::siteWidth(config_, kind));
    const bool embedding = kind == SiteKind::Head && !config_.ownsHead();
    for (format::LinearInfo& info : format::siteLinears(config_, index, kind)) {
        if (embedding) info.prefix = withoutSuffix(format::kEmbeddingName);
        site.linears.push_back(readLinear(tensors_, info, site.recipe));
    }
    return site;
}

void Decoder::rotate(Matrix& rows, int heads) const {
    const Eigen::Index half = index(config_.headDim / 2);
    for (Eigen::Index t = 0; t < rows.rows(); ++t)
        for (Eigen::Index i = 0; i < half; ++i) {
            const double angle = static_cast<double>(t) * frequencies_[static_cast<size_t>(i)];
            const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
            for (int h = 0; h < heads; ++h) {
                float& a = rows(t, h * 2 * half + i);
                float& b = rows(t, h * 2 * half + half + i);
                const float rotated = a * c - b * s;
                b = b * c + a * s;
                a = rotated;
            }
        }
}

void Decoder::attend(const Matrix& q, const Matrix& k, const Matrix& v, Matrix& out) const {
    const Eigen::Index T = q.rows(), D = index(config_.headDim);
    const int share = config_.heads / config_.kvHeads;  // query heads that read one key head
    const float scale = 1.0f / std::sqrt(static_cast<float>(D));
    constexpr Eigen::Index kTile = 64;  // query rows at a time, so that scores stay small at any context
    out.resize(T, index(config_.heads) * D);
    Matrix scores(std::min(T, kTile), T);
    for (int h = 0; h < config_.heads; ++h) {
        const Eigen::Index column = index(h / share) * D;
        for (Eigen::Index begin = 0; begin < T; begin += kTile) {
            const Eigen::Index rows = std::min(kTile, T - begin), keys = begin + rows;
            multiplyTransposed(q.data() + begin * q.cols() + h * D, q.cols(), k.data() + column, k.cols(),
                               scores.data(), T, rows, keys, D);
            for (Eigen::Index r = 0; r < rows; ++r) {
                const Eigen::Index seen = begin + r + 1;
                auto row = scores.row(r).head(seen);
                row = ((row.array() - row.maxCoeff()) * scale).exp().matrix();
                row /= row.sum();
                scores.row(r).segment(seen, keys - seen).setZero();
            }
            multiply(scores.data(), T, v.data() + column, v.cols(), out.data() + begin * out.cols() + h * D, out.cols(),
                     rows, D, keys);
        }
    }
}

Matrix Decoder::attentionInput(const Layer& layer, const Matrix& hidden) const {
    return rmsNorm(hidden, layer.attentionNorm, config_.rmsNormEps);
}

Matrix Decoder::mlpInput(const Layer& layer, const Matrix& hidden) const {
    return rmsNorm(hidden, layer.mlpNorm, config_.rmsNormEps);
}

Matrix Decoder::attention(std::vector<Matrix> qkv) const {
    rotate(qkv[0], config_.heads);
    rotate(qkv[1], config_.kvHeads);
    Matrix out;
    attend(qkv[0], qkv[1], qkv[2], out);
    return out;
}

Matrix Decoder::gated(std::vector<Matrix> gateUp) {
    const auto gate = gateUp[0].array();
    gateUp[1].array() *= gate / ((-gate).exp() + 1.0f);
    return std::move(gateUp[1]);
}

void Decoder::run(const Layer& layer, Matrix& hidden, const SiteObserver& observer) const {
    const auto linears = [&](SiteKind kind, const Matrix& x) {
        if (observer) observer(kind, x);
        return apply(layer.site(kind), x);
    };
    const Matrix attended = attention(linears(SiteKind::Qkv, attentionInput(layer, hidden)));
    hidden += linears(SiteKind::O, attended)[0];
    const Matrix inner = gated(linears(SiteKind::GateUp, mlpInput(layer, hidden)));
    hidden += linears(SiteKind::Down, inner)[0];
}

Site Decoder::head() const {
    Site site = readSite(0, SiteKind::Head);
    if (residual_.empty()) return site;
    for (Linear& linear : site.linears) linear.weight = columnsInOrder(linear.weight, residual_);
    return site;
}

Matrix Decoder::headInput(const Matrix& hidden) const {
    return rmsNorm(hidden, finalNorm_, config_.rmsNormEps);
}

Matrix Decoder::logits(const Matrix& hidden) const {
    std::call_once(head_->once, [&] { head_->site = head(); });
    return std::move(apply(head_->site, headInput(hidden))[0]);
}

Matrix Decoder::forward(std::span<const int32_t> tokens) const {
    Matrix hidden = embed(tokens);
    for (int i = 0; i < config_.layers; ++i) run(layer(i), hidden);
    return logits(hidden);
}

std::vector<Matrix> hiddenStates(const Decoder& decoder, std::span<const Sequence> sequences, int threads,
                                 const std::atomic<bool>* stop, const std::function<void()>& afterLayer,
                                 const std::function<void(Layer&)>& prepare) {
    const SerialBlas serial;
    std::vector<Matrix> hidden(sequences.size());
    for (size_t i = 0; i < sequences.size(); ++i) hidden[i] = decoder.embed(sequences[i]);
    for (int l = 0; l < decoder.config().layers; ++l) {
        Layer layer = decoder.layer(l);
        if (prepare) prepare(layer);
        parallelFor(hidden.size(), threads, [&](size_t i) {
            if (stop != nullptr && *stop) throw Error(Result::Cancelled, "stopped on request");
            decoder.run(layer, hidden[i]);
        });
        if (afterLayer) afterLayer();
    }
    return hidden;
}

}  // namespace vulcat::calibrate
