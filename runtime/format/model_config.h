#pragma once
// What config.json (and generation_config.json) of a Hugging Face folder say about a Llama model.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vulcat::format {

/// A config.json above this is refused before it is parsed.
inline constexpr size_t kMaxConfigBytes = 100'000'000;

/// `rope_scaling` of type llama3: frequencies whose wavelength exceeds originalMaxPosition / lowFreqFactor are divided
/// by `factor`, those below originalMaxPosition / highFreqFactor stay, between the two they are interpolated.
struct RopeScaling {
    double factor = 1;
    double lowFreqFactor = 1;
    double highFreqFactor = 4;
    int originalMaxPosition = 8192;
};

/// How the linears that share one input were quantised. Widths in bits; 16 means not quantised.
struct SiteRecipe {
    int weightBits = 16;               ///< 4, 8 or 16
    int groupSize = 0;                 ///< inputs that share a weight scale: 32, 64, 128; 0 is the whole row
    int activationBits = 16;           ///< 4, 8 or 16; 16 when weightBits is 16
    bool activationSymmetric = false;  ///< 4 bits only: -8..7 without a zero point
    int block = 0;                     ///< width of the dense transform blocks; 0 for none
    int mixOrder = 1;                  ///< order of the orthogonal mix after the blocks; 1 for none
    int mixStride = 1;                 ///< distance of the elements it mixes
    bool coded = false;                ///< 8-bit codes are entropy-coded in the file (format/rans.h)
};

/// `quantization_config` with quant_method "vulcat". A site that is not listed keeps float weights and activations.
struct Quantization {
    std::map<std::string, SiteRecipe> sites;  ///< by site name, see names.h
    std::string recipeJson;                   ///< the whole object as compact JSON, for people and reports
};

struct ModelConfig {
    int hiddenSize = 0;
    int intermediateSize = 0;
    int layers = 0;
    int heads = 0;
    int kvHeads = 0;  ///< divides heads
    int headDim = 0;  ///< even
    int vocabSize = 0;
    int maxPositions = 0;
    float rmsNormEps = 1e-6f;
    double ropeTheta = 10000;
    std::optional<RopeScaling> ropeScaling;
    bool tieWordEmbeddings = false;
    bool attentionBias = false;  ///< q, k, v and o carry a bias
    bool mlpBias = false;        ///< gate, up and down carry a bias
    std::optional<int32_t> bosTokenId;
    std::vector<int32_t> eosTokenIds;  ///< from both files, without duplicates
    std::optional<Quantization> quantization;

    /// The site's recipe, or the float recipe when the site is not listed.
    SiteRecipe recipe(const std::string& site) const;
    /// The output layer has codes; else it has floats, the embedding's where those are tied to it.
    bool quantisesHead() const;
    /// The output layer has weights of its own, floats or codes.
    bool ownsHead() const { return !tieWordEmbeddings || quantisesHead(); }
};

/// Reads and checks `folder`/config.json. Values out of all reason (sizes above 2^20 for widths, 2^24 for the
/// vocabulary and positions, 1024 layers) are refused before anything is allocated from them.
/// Errors: InvalidFile naming file and field; Unsupported naming the model type, activation, rope type or quantisation
/// method that vulcat does not run.
ModelConfig readModelConfig(const std::filesystem::path& folder);

/// The same from JSON texts; `generationJson` may be empty. `where` names the file in messages.
ModelConfig parseModelConfig(const std::string& configJson, const std::string& generationJson,
                             const std::string& where);

}  // namespace vulcat::format
