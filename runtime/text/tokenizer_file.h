#pragma once
// What tokenizer.json and tokenizer_config.json say, checked, as plain data. Private to the floor.

#include "text/added_tokens.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vulcat::text {

struct Replacement {
    std::string from;  ///< not empty
    std::string to;
};

/// A step of the normaliser: exactly one of the two is set.
struct NormaliserStep {
    std::string prepend;
    std::optional<Replacement> replace;
};

/// SentencePiece's treatment of spaces when it stands as a pre-tokeniser.
struct Metaspace {
    enum class Prepend : uint8_t { Always, First, Never };
    std::string replacement;
    Prepend prepend = Prepend::Always;
    bool split = true;  ///< each replacement character begins a word
};

/// A step that cuts text into words.
struct CutStep {
    enum class Kind : uint8_t { Pattern, Metaspace };
    Kind kind = Kind::Pattern;
    std::string pattern;      ///< Pattern: what PCRE2 compiles
    bool keepMatches = true;  ///< Pattern: matches are words too
    Metaspace metaspace;      ///< Metaspace
};

struct TokenizerFile {
    std::vector<std::pair<std::string, int32_t>> vocabulary;  ///< spelled as in the file; ids unique
    std::vector<std::pair<std::string, std::string>> merges;  ///< by rank
    std::vector<AddedToken> added;
    std::vector<NormaliserStep> normaliser;
    std::vector<CutStep> cuts;
    bool byteLevel = false;       ///< else SentencePiece
    bool addPrefixSpace = false;  ///< byte-level: a text that does not begin with a space gets one
    bool byteFallback = false;
    bool fuseUnknown = false;
    bool ignoreMerges = false;  ///< a word that is a vocabulary entry is one token
    bool stripsLeadingSpace = false;
    std::optional<std::string> unknownToken;
    std::optional<std::string> bosToken;
    std::optional<std::string> eosToken;
    bool addsBos = false;
    int32_t idLimit = 0;  ///< one more than the largest id
};

/// Errors: as for Tokenizer.
TokenizerFile parseTokenizerFile(const std::string& tokenizerJson, const std::string& configJson);

}  // namespace vulcat::text
