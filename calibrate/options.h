#pragma once
// What a calibration is asked to do; the fields mirror the options of `vulcat calibrate`.

#include "format/quantise.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace vulcat::calibrate {

class Team;

/// The transform in front of every quantised linear (see calibrate/transforms.h).
enum class TransformKind { None, Hadamard, BlockHadamard, Cat };

/// How transformed weights become codes.
enum class Rounding {
    Nearest,  ///< each weight by itself (calibrate/rounding.h)
    Gptq,     ///< errors of a column are made up for by the columns after it (calibrate/gptq.h)
    WaterSic  ///< entropy-coded at any rate of bits (calibrate/watersic.h)
};

/// The order of an MLP's hidden channels (calibrate/hidden_order.h), or of the residual stream's
/// (calibrate/residual_order.h).
enum class Permute {
    None,
    Mass,  ///< blocks share the l1 mass of activations evenly
    Cat    ///< what the alignment transform would mix meets in one block, with masses still even
};

/// The names used in config.json and on the command line ("none", "hadamard", "block-hadamard", "cat"; "absmax",
/// "mse"; "nearest", "gptq", "watersic"; "none", "mass", "cat").
const char* nameOf(TransformKind kind);
const char* nameOf(format::ScaleSearch search);
const char* nameOf(Rounding rounding);
const char* nameOf(Permute permute);

/// Which texts, cut how (see calibrate/texts.h).
struct TextOptions {
    std::vector<std::filesystem::path> files;
    std::string separator;  ///< between pieces of a file; empty: a file is one piece, cut into windows of seqLen
    int samples = 0;        ///< how many sequences at most; 0: all
    bool fromEnd = false;   ///< take the last `samples` sequences instead of the first
    int seqLen = 512;       ///< tokens of a sequence at most, the begin token included; cut to the model's context
};

/// Block of a CAT transform that takes in the whole width.
inline constexpr int kFullBlock = 0;

struct CalibrateOptions {
    std::filesystem::path modelDir;
    std::filesystem::path outDir;
    TextOptions texts;
    std::filesystem::path statistics;  ///< calibrate from this file (calibrate/statistics_file.h), not from texts
    int weightBits = 4;                ///< 4, 8 or 16 (float)
    int headBits = 16;                 ///< of the output layer's weights: 4, 8 or 16 (float), see headOptions()
    int activationBits = 4;            ///< 4, 8 or 16 (float)
    bool activationSymmetric = false;  ///< of 4-bit activations; 8-bit ones are always symmetric
    TransformKind transform = TransformKind::Cat;
    int block = 64;     ///< of CAT and block Hadamard transforms, 16..256, or kFullBlock
    int groupSize = 0;  ///< inputs that share a weight scale: 0 (the whole row), 32, 64 or 128
    format::ScaleSearch scales = format::ScaleSearch::Mse;
    Rounding rounding = Rounding::Nearest;
    bool actOrder = false;  ///< GPTQ takes the columns with the largest inputs first
    double rate = 3;        ///< bits a weight of WaterSIC over the whole model, all side information included
    Permute permute = Permute::None;          ///< of hidden channels
    Permute permuteResidual = Permute::None;  ///< of the residual stream's
    bool randomSigns = false;  ///< channels get random signs before the Hadamard of a transform
    /// Sites whose measured SQNR stays below this (dB) at 4 bits get 8-bit weights and activations; nothing: none do.
    std::optional<double> leastSqnr;
    /// Mean bits of a weight, 4..8: the sites that 4 bits serve worst get 8 until the mean is reached.
    std::optional<double> targetBits;
    uint64_t seed = 0;                        ///< chooses the rows that the report measures on, and random signs
    bool overwrite = false;                   ///< replace outDir, and drop an unfinished run of another recipe
    int threads = 0;                          ///< 0: as many as it may use; never changes a byte of the result
    Team* team = nullptr;                     ///< processes that share the work; the caller's, or none
    const std::atomic<bool>* stop = nullptr;  ///< set to true: Error(Cancelled) soon, and the run can be resumed
};

/// Sets transform, block, rounding and permutation as the recipe has them: "fast" rounds to nearest behind CAT,
/// "balanced" adds GPTQ, "best" takes the widest blocks. Errors: InvalidArgument for another name.
void applyRecipe(const std::string& name, CalibrateOptions& options);

/// What the output layer is rounded with: transform, groups and rounding of the others (but nearest beside WaterSIC),
/// activations of at least 8 bits, since nothing after it makes up for an error.
CalibrateOptions headOptions(const CalibrateOptions& options);

/// Throws Error(InvalidArgument) that names the option and its allowed values.
void validate(const CalibrateOptions& options);

}  // namespace vulcat::calibrate
