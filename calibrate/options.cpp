#include "calibrate/options.h"

#include "base/error.h"

#include <algorithm>

namespace vulcat::calibrate {

namespace {
void require(bool holds, const char* message) {
    if (!holds) throw Error(Result::InvalidArgument, message);
}
}  // namespace

const char* nameOf(TransformKind kind) {
    switch (kind) {
        case TransformKind::None:
            return "none";
        case TransformKind::Hadamard:
            return "hadamard";
        case TransformKind::BlockHadamard:
            return "block-hadamard";
        case TransformKind::Cat:
            return "cat";
    }
    return "none";
}

const char* nameOf(format::ScaleSearch search) {
    return search == format::ScaleSearch::AbsMax ? "absmax" : "mse";
}

const char* nameOf(Rounding rounding) {
    switch (rounding) {
        case Rounding::Nearest:
            break;
        case Rounding::Gptq:
            return "gptq";
        case Rounding::WaterSic:
            return "watersic";
    }
    return "nearest";
}

const char* nameOf(Permute permute) {
    return permute == Permute::None ? "none" : permute == Permute::Mass ? "mass" : "cat";
}

void applyRecipe(const std::string& name, CalibrateOptions& options) {
    require(name == "fast" || name == "balanced" || name == "best", "the recipe must be fast, balanced or best");
    options.transform = TransformKind::Cat;
    options.block = name == "best" ? 256 : 64;
    options.rounding = name == "fast" ? Rounding::Nearest : Rounding::Gptq;
}

CalibrateOptions headOptions(const CalibrateOptions& options) {
    CalibrateOptions head = options;
    head.weightBits = options.headBits;
    head.activationBits = std::max(options.activationBits, 8);
    head.targetBits.reset();
    if (options.rounding == Rounding::WaterSic) head.rounding = Rounding::Nearest;
    return head;
}

void validate(const CalibrateOptions& options) {
    const auto bits = [](int value) { return value == 4 || value == 8 || value == 16; };
    require(!options.modelDir.empty(), "the model folder is missing");
    require(!options.outDir.empty(), "the output folder is missing");
    require(bits(options.weightBits), "weights must have 4, 8 or 16 bits");
    require(bits(options.activationBits), "activations must have 4, 8 or 16 bits");
    require(bits(options.headBits), "the output layer's weights must have 4, 8 or 16 bits");
    require(options.weightBits != 16 || options.headBits == 16,
            "float weights (16 bits) keep a float output layer: leave out its bits");
    require(options.weightBits != 16 || options.activationBits == 16,
            "float weights (16 bits) take float activations: set the activations to 16 bits too");
    require(options.weightBits != 16 || options.transform == TransformKind::None,
            "float weights (16 bits) need no transform: set the transform to none");
    require(options.weightBits != 16 || (options.permute == Permute::None && options.permuteResidual == Permute::None),
            "float weights (16 bits) are copied as they are: leave out the permutation");
    require(options.block == kFullBlock || (options.block >= 16 && options.block <= 256),
            "the block must be 16 to 256 wide, or full");
    require(options.groupSize == 0 || options.groupSize == 32 || options.groupSize == 64 || options.groupSize == 128,
            "the group size must be 0 (the whole row), 32, 64 or 128");
    if (options.rounding == Rounding::WaterSic) {
        require(
            options.weightBits == 8 && options.groupSize == 0 && options.transform == TransformKind::None,
            "WaterSIC codes 8-bit integers with one scale a row and brings its own transform: weights 8, group size "
            "0, transform none");
        require(options.rate >= 0.5 && options.rate <= 6, "WaterSIC takes 0.5 to 6 bits a weight");
        require(!options.leastSqnr && !options.targetBits,
                "WaterSIC sets its own bits: leave out auto and target bits");
        require(options.permute == Permute::None && options.permuteResidual == Permute::None,
                "WaterSIC orders columns itself: leave out the permutation");
    }
    require(!options.leastSqnr || options.weightBits == 4, "auto starts from 4-bit weights");
    require(!options.targetBits || (options.weightBits == 4 && *options.targetBits >= 4 && *options.targetBits <= 8),
            "target bits are 4 to 8, from 4-bit weights on");
    require(options.statistics.empty() || options.texts.files.empty(),
            "give texts or a file of statistics, not both");
    require(options.texts.samples >= 0, "the number of samples must not be negative");
    require(options.texts.seqLen >= 2, "the sequence length must be at least 2 tokens");
    require(options.threads >= 0, "the number of threads must not be negative");
}

}  // namespace vulcat::calibrate
