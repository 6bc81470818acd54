#include "calibrate/options.h"

#include "base/error.h"

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
        case TransformKind::Cat:
            return "cat";
    }
    return "none";
}

const char* nameOf(format::ScaleSearch search) {
    return search == format::ScaleSearch::AbsMax ? "absmax" : "mse";
}

void validate(const CalibrateOptions& options) {
    const auto bits = [](int value) { return value == 4 || value == 8 || value == 16; };
    require(!options.modelDir.empty(), "the model folder is missing");
    require(!options.outDir.empty(), "the output folder is missing");
    require(bits(options.weightBits), "weights must have 4, 8 or 16 bits");
    require(bits(options.activationBits), "activations must have 4, 8 or 16 bits");
    require(options.weightBits != 16 || options.activationBits == 16,
            "float weights (16 bits) take float activations: set the activations to 16 bits too");
    require(options.weightBits != 16 || options.transform == TransformKind::None,
            "float weights (16 bits) need no transform: set the transform to none");
    require(options.transform != TransformKind::Cat || (options.block >= 16 && options.block <= 128),
            "the block must be 16 to 128 wide");
    require(options.groupSize == 0 || options.groupSize == 32 || options.groupSize == 64 || options.groupSize == 128,
            "the group size must be 0 (the whole row), 32, 64 or 128");
    require(options.texts.samples >= 0, "the number of samples must not be negative");
    require(options.texts.seqLen >= 2, "the sequence length must be at least 2 tokens");
    require(options.threads >= 0, "the number of threads must not be negative");
}

}  // namespace vulcat::calibrate
