#include "model_folder.h"

#include "format/atomic_file.h"
#include "format/half.h"
#include "format/names.h"
#include "format/quantise.h"
#include "format/quantised_matrix.h"
#include "format/safetensors.h"
#include "format/transform.h"
#include "support/rng.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace vulcat::test {
namespace {

/// Tensors by name, collected first since the writer wants all specs at once.
class Folder {
  public:
    Folder(const ModelRecipe& recipe, Rng& rng) : recipe_(recipe), rng_(rng) {}

    void floats(const std::string& name, std::vector<uint64_t> shape, double scale, double mean = 0) {
        if (name == recipe_.leaveOut) return;
        if (name == recipe_.wrongShape) --shape[0];
        size_t count = 1;
        for (uint64_t extent : shape) count *= extent;
        std::vector<float> values = rng_.gaussians(count, scale);
        for (float& value : values) value += static_cast<float>(mean);
        if (name == recipe_.notFinite) values[0] = std::numeric_limits<float>::quiet_NaN();
        const bool other =
            recipe_.mixedDtypes && (name.find("k_proj") != name.npos || name.find("up_proj") != name.npos);
        const format::DType dtype = other ? format::DType::BF16 : recipe_.dtype;
        specs_.push_back({name, dtype, std::move(shape)});
        writes_.push_back([name, bytes = encode(values, dtype)](format::SafetensorsWriter& writer) {
            writer.write(name, std::span<const std::byte>(bytes));
        });
    }

    void quantised(const std::string& prefix, uint64_t rows, uint64_t columns) {
        Shared matrix = recipe_.repeat ? known_[{rows, columns}] : nullptr;
        if (!matrix) matrix = known_[{rows, columns}] = randomMatrix(rows, columns);
        const uint64_t coded = matrix->coded ? format::entropyCoded(*matrix).size() : 0;
        for (format::TensorSpec& spec : format::quantisedMatrixSpecs(prefix, *matrix, coded))
            specs_.push_back(std::move(spec));
        writes_.push_back([prefix, matrix](format::SafetensorsWriter& writer) {
            format::writeQuantisedMatrix(writer, prefix, *matrix);
        });
    }

    void transform(const std::string& site, const format::Transform& transform) {
        for (format::TensorSpec& spec : format::transformSpecs(site, transform)) specs_.push_back(std::move(spec));
        writes_.push_back(
            [site, transform](format::SafetensorsWriter& writer) { format::writeTransform(writer, site, transform); });
    }

    void write(const std::filesystem::path& path) const {
        format::SafetensorsWriter writer(path, specs_);
        for (const auto& write : writes_) write(writer);
        writer.finish();
    }

  private:
    using Shared = std::shared_ptr<const format::QuantisedMatrix>;

    Shared randomMatrix(uint64_t rows, uint64_t columns) {
        const std::vector<float> weights = rng_.gaussians(rows * columns, 1 / std::sqrt(static_cast<double>(columns)));
        auto matrix = std::make_shared<format::QuantisedMatrix>(format::quantiseWeights(
            weights, rows, columns, recipe_.weightBits, static_cast<uint64_t>(recipe_.groupSize),
            format::ScaleSearch::AbsMax, recipe_.halfScales));
        matrix->coded = recipe_.coded;
        return matrix;
    }

    static std::vector<std::byte> encode(const std::vector<float>& values, format::DType dtype) {
        std::vector<std::byte> bytes;
        const auto put = [&](const auto& value) {
            const auto* from = reinterpret_cast<const std::byte*>(&value);
            bytes.insert(bytes.end(), from, from + sizeof value);
        };
        for (float value : values) {
            if (dtype == format::DType::F32) put(value);
            if (dtype == format::DType::F16) put(format::floatToHalf(value));
            if (dtype == format::DType::BF16) put(format::floatToBfloat16(value));
        }
        return bytes;
    }

    const ModelRecipe& recipe_;
    Rng& rng_;
    std::map<std::pair<uint64_t, uint64_t>, Shared> known_;
    std::vector<format::TensorSpec> specs_;
    std::vector<std::function<void(format::SafetensorsWriter&)>> writes_;
};

/// A block near the identity, so that activations keep their size.
std::vector<uint16_t> randomBlocks(Rng& rng, uint64_t count, uint64_t width) {
    std::vector<uint16_t> bits;
    for (uint64_t i = 0; i < count * width * width; ++i) {
        const bool diagonal = i % (width * width) % (width + 1) == 0;
        bits.push_back(format::floatToHalf(static_cast<float>((diagonal ? 1 : 0) + 0.1 * rng.gaussian())));
    }
    return bits;
}

format::Transform randomTransform(const ModelRecipe& recipe, Rng& rng, uint64_t width) {
    if (recipe.transform == RandomTransform::Hadamard) return format::hadamardTransform(width);
    format::Transform transform;
    transform.width = width;
    if (recipe.transform == RandomTransform::None) return transform;
    transform.block = static_cast<uint64_t>(recipe.block);
    transform.blocks = randomBlocks(rng, transform.fullBlocks(), transform.block);
    transform.tail = randomBlocks(rng, transform.tailWidth() == 0 ? 0 : 1, transform.tailWidth());
    const bool ragged = transform.tailWidth() != 0;
    format::setMix(transform, ragged ? width : width / transform.block, ragged ? 1 : transform.block);
    return transform;
}

std::string siteJson(const ModelRecipe& recipe, const std::string& site, const format::Transform& transform) {
    const bool head = site == format::kHeadSite;
    return "\"" + site + "\":{\"weight_bits\":" + std::to_string(recipe.weightBits) +
           ",\"group_size\":" + std::to_string(recipe.groupSize) +
           ",\"activation_bits\":" + std::to_string(head ? std::max(recipe.activationBits, 8) : recipe.activationBits) +
           ",\"activation_symmetric\":" + (recipe.symmetric ? "true" : "false") +
           ",\"block\":" + std::to_string(transform.block) + ",\"mix_order\":" + std::to_string(transform.mixOrder) +
           ",\"mix_stride\":" + std::to_string(transform.mixStride) + (recipe.coded ? ",\"coded\":true}" : "}");
}

std::string configJson(const ModelRecipe& recipe, const std::string& sites) {
    const auto boolean = [](bool value) { return value ? "true" : "false"; };
    std::string rope = recipe.thetaAtTop ? "\"rope_theta\":50000.0,"
                                         : "\"rope_parameters\":{\"rope_theta\":50000.0,"
                                           "\"rope_type\":\"default\"},";
    if (recipe.llama3Rope) {
        rope =
            "\"rope_theta\":50000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
            "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32},";
    }
    std::string json = "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_act\":\"silu\",";
    json += "\"hidden_size\":" + std::to_string(recipe.hidden) +
            ",\"intermediate_size\":" + std::to_string(recipe.intermediate) +
            ",\"num_hidden_layers\":" + std::to_string(recipe.layers) +
            ",\"num_attention_heads\":" + std::to_string(recipe.heads) +
            ",\"num_key_value_heads\":" + std::to_string(recipe.kvHeads) +
            ",\"head_dim\":" + std::to_string(recipe.headDim) + ",\"vocab_size\":" + std::to_string(recipe.vocabulary) +
            ",\"max_position_embeddings\":" + std::to_string(recipe.positions) + "," + rope;
    json += std::string("\"tie_word_embeddings\":") + boolean(recipe.tied) +
            ",\"attention_bias\":" + boolean(recipe.attentionBias) + ",\"mlp_bias\":" + boolean(recipe.mlpBias);
    json += ",\"rms_norm_eps\":1e-5,\"bos_token_id\":1,\"eos_token_id\":2";
    if (!sites.empty()) {
        json += ",\"quantization_config\":{\"quant_method\":\"vulcat\",\"format_version\":1,\"sites\":{" + sites + "}}";
    }
    return json + "}";
}

}  // namespace

void writeModelFolder(const std::filesystem::path& folder, const ModelRecipe& recipe) {
    Rng rng(recipe.seed);
    Folder tensors(recipe, rng);
    const auto width = static_cast<uint64_t>(recipe.hidden);
    const auto vocabulary = static_cast<uint64_t>(recipe.vocabulary);
    const format::ModelConfig config = format::parseModelConfig(configJson(recipe, ""), "", "config.json");

    tensors.floats(std::string(format::kEmbeddingName), {vocabulary, width}, 1);
    tensors.floats(std::string(format::kFinalNormName), {width}, 0.1, 1);
    if (!recipe.tied && !recipe.quantisedHead) tensors.floats(std::string(format::kHeadName), {vocabulary, width}, 0.3);
    std::string sites;
    const auto quantise = [&](int layer, format::SiteKind kind) {
        const std::string site = format::siteName(layer, kind);
        for (const format::LinearInfo& linear : format::siteLinears(config, layer, kind)) {
            tensors.quantised(linear.prefix, linear.rows, linear.columns);
        }
        const format::Transform transform = randomTransform(recipe, rng, format::siteWidth(config, kind));
        tensors.transform(site, transform);
        sites += (sites.empty() ? "" : ",") + siteJson(recipe, site, transform);
    };
    for (int layer = 0; layer < recipe.layers; ++layer) {
        tensors.floats(format::inputNormName(layer), {width}, 0.1, 1);
        tensors.floats(format::postAttentionNormName(layer), {width}, 0.1, 1);
        for (format::SiteKind kind : format::kSites) {
            for (const format::LinearInfo& linear : format::siteLinears(config, layer, kind)) {
                if (linear.bias) tensors.floats(linear.prefix + ".bias", {linear.rows}, 0.3);
                if (recipe.weightBits == 16) {
                    tensors.floats(linear.prefix + ".weight", {linear.rows, linear.columns},
                                   1 / std::sqrt(static_cast<double>(linear.columns)));
                }
            }
            if (recipe.weightBits != 16) quantise(layer, kind);
        }
    }
    if (recipe.quantisedHead) quantise(0, format::SiteKind::Head);
    tensors.write(folder / "model.safetensors");
    format::writeTextFile(folder / "config.json", configJson(recipe, sites));
}

}  // namespace vulcat::test
