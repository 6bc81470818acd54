#pragma once
// Tokens, their ids and bytes, and how a word becomes tokens. Private to the floor.

#include "text/bpe.h"
#include "text/tokenizer_file.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vulcat::text {

/// SentencePiece's visible space, U+2581.
inline constexpr std::string_view kVisibleSpace = "\xE2\x96\x81";

/// Immutable; const members are safe from several threads.
class Vocabulary {
  public:
    /// Errors: InvalidFile for a merge whose parts or result are not in the vocabulary.
    explicit Vocabulary(const TokenizerFile& file);

    const MergeTable& merges() const { return merges_; }
    /// Appends the ids of one word; `scratch` is working memory. Precondition: word is well-formed UTF-8.
    void encodeWord(std::string_view word, Merger& merger, std::vector<int32_t>& scratch,
                    std::vector<int32_t>& ids) const;

    std::optional<int32_t> idOf(std::string_view token) const;
    std::string_view pieceBytes(int32_t id, bool keepSpecial) const;
    int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
    /// No merge joins a token that begins with the visible space to something else before it.
    bool visibleSpaceBeginsWords() const { return visibleSpaceBeginsWords_; }

  private:
    struct Piece {
        std::string bytes;
        bool special = false;
    };
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };
    using Ids = std::unordered_map<std::string, int32_t, Hash, std::equal_to<>>;

    void addMerges(const TokenizerFile& file);
    void byteTokens(std::string_view word, std::vector<int32_t>& tokens) const;
    void characterTokens(std::string_view word, std::vector<int32_t>& tokens) const;
    void appendUnknown(std::vector<int32_t>& tokens) const;

    bool byteLevel_;
    bool fuseUnknown_;
    std::optional<int32_t> unknown_;
    std::vector<Piece> pieces_;       // by id
    Ids ids_;                         // as spelled in the file
    Ids wholeWords_;                  // by bytes; only filled when words are looked up before merging
    std::array<int32_t, 256> bytes_;  // id of each byte's token, or -1
    MergeTable merges_;
    bool visibleSpaceBeginsWords_ = false;
};

}  // namespace vulcat::text
