#pragma once
// From text files to token sequences, the one way that calibration and evaluation share.

#include "calibrate/options.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vulcat::text {
class Tokenizer;
}

namespace vulcat::calibrate {

using Sequence = std::vector<int32_t>;

/// The pieces of one file. With a separator: what lies between separators, line breaks stripped at both ends, empty
/// pieces left out; what follows the last separator is taken as cut off and dropped. Without: the whole file, stripped.
/// Throws Error(InvalidFile) when the file cannot be read, is empty, or a given separator never occurs in it.
std::vector<std::string> readPieces(const std::filesystem::path& file, const std::string& separator);

/// Begin token (where the tokenizer has one) and tokens, at most `texts.seqLen` together. With a separator a piece
/// gives its first window; without one it gives all its windows. Sequences without a token to predict are left out.
/// Throws Error(InvalidFile) when nothing is left, Error(InvalidArgument) when `texts` names no file or seqLen < 2.
std::vector<Sequence> readSequences(const TextOptions& texts, const text::Tokenizer& tokenizer, int maxPositions);

}  // namespace vulcat::calibrate
