#pragma once
// Small random models, written as Hugging Face folders: float, or baked by plain rounding behind a random transform.

#include "format/dtype.h"
#include "format/model_config.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace vulcat::test {

enum class RandomTransform { None, Hadamard, Blocks };

struct ModelRecipe {
    int hidden = 48;
    int intermediate = 88;  // 88 = 8 * 11: no large power of two
    int layers = 2;
    int heads = 6;
    int kvHeads = 2;
    int headDim = 12;  // heads * headDim is not the hidden size
    int vocabulary = 90;
    int positions = 128;
    bool tied = true;
    bool attentionBias = false;
    bool mlpBias = false;
    bool llama3Rope = false;
    bool thetaAtTop = false;
    format::DType dtype = format::DType::F32;
    bool mixedDtypes = false;  ///< k_proj and up_proj are BF16, whatever the others are
    uint64_t seed = 1;

    // Baked folders: 16 bits of weights mean a float folder.
    int weightBits = 16;
    int activationBits = 16;
    bool symmetric = false;
    int groupSize = 0;
    bool halfScales = false;
    bool coded = false;  ///< 8-bit codes, entropy-coded
    bool quantisedHead = false;  ///< the output layer as the other sites, with 8-bit activations where theirs have 4
    bool repeat = false;  ///< linears of one shape all hold the same weights: large folders are written in seconds
    RandomTransform transform = RandomTransform::None;
    int block = 16;

    // What to break.
    std::string leaveOut = "";    ///< a tensor of this name is not written
    std::string wrongShape = "";  ///< the first dimension of this tensor is one less than it should be
    std::string notFinite = "";   ///< the first element of this float tensor is NaN
};

/// Writes config.json and model.safetensors into the folder, which exists.
void writeModelFolder(const std::filesystem::path& folder, const ModelRecipe& recipe);

}  // namespace vulcat::test
