#pragma once
// What a calibration is asked to do; the fields mirror the options of `vulcat calibrate`.

#include "format/quantise.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vulcat::calibrate {

class Team;

/// The transform in front of every quantised linear (see calibrate/transforms.h).
enum class TransformKind { None, Hadamard, Cat };

/// The names used in config.json and on the command line ("none", "hadamard", "cat"; "absmax", "mse").
const char* nameOf(TransformKind kind);
const char* nameOf(format::ScaleSearch search);

/// Which texts, cut how (see calibrate/texts.h).
struct TextOptions {
    std::vector<std::filesystem::path> files;
    std::string separator;  ///< between pieces of a file; empty: a file is one piece, cut into windows of seqLen
    int samples = 0;        ///< how many sequences at most; 0: all
    bool fromEnd = false;   ///< take the last `samples` sequences instead of the first
    int seqLen = 512;       ///< tokens of a sequence at most, the begin token included; cut to the model's context
};

struct CalibrateOptions {
    std::filesystem::path modelDir;
    std::filesystem::path outDir;
    TextOptions texts;
    int weightBits = 4;                ///< 4, 8 or 16 (float)
    int activationBits = 4;            ///< 4, 8 or 16 (float)
    bool activationSymmetric = false;  ///< of 4-bit activations; 8-bit ones are always symmetric
    TransformKind transform = TransformKind::Cat;
    int block = 64;     ///< of the CAT transform, 16..128
    int groupSize = 0;  ///< inputs that share a weight scale: 0 (the whole row), 32, 64 or 128
    format::ScaleSearch scales = format::ScaleSearch::Mse;
    uint64_t seed = 0;                        ///< chooses the rows that the report measures on
    bool overwrite = false;                   ///< replace outDir, and drop an unfinished run of another recipe
    int threads = 0;                          ///< 0: one a core; never changes a byte of the result
    Team* team = nullptr;                     ///< processes that share the work; the caller's, or none
    const std::atomic<bool>* stop = nullptr;  ///< set to true: Error(Cancelled) soon, and the run can be resumed
};

/// Throws Error(InvalidArgument) that names the option and its allowed values.
void validate(const CalibrateOptions& options);

}  // namespace vulcat::calibrate
