#pragma once
// Floor `text`: text to token ids and back, as tokenizer.json describes it. Knows no Vulkan and no tensors.
//
// Two families of byte-pair encoding are read: byte-level BPE (GPT-2, Llama 3: text split by a pattern, bytes mapped to
// printable characters) and SentencePiece BPE with byte fallback (Llama 2, Phi-3: spaces become U+2581). Patterns run
// through PCRE2 as the file states them. Anything else in the file that would change ids is refused, not ignored.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::text {

/// Immutable after construction; const members are safe from several threads. Move-only.
class Tokenizer {
  public:
    /// Reads `folder`/tokenizer.json and, when present, tokenizer_config.json.
    /// Errors: InvalidFile naming the field for damaged files; Unsupported naming a model, normaliser, pre-tokeniser or
    /// decoder that is not one of the two families.
    explicit Tokenizer(const std::filesystem::path& folder);
    /// The same from JSON texts; `configJson` may be empty.
    Tokenizer(const std::string& tokenizerJson, const std::string& configJson);
    ~Tokenizer();
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;

    /// Token ids of a text. Added tokens (specials included) that appear in the text become their own ids.
    /// With `addBos` the BOS id comes first, if the tokenizer has one. Bytes that are not UTF-8 are taken as U+FFFD.
    /// Time is O(n log n) in the text's length.
    std::vector<int32_t> encode(std::string_view text, bool addBos) const;

    /// The text of the ids, always valid UTF-8 (broken sequences become U+FFFD). Special tokens and unknown ids give
    /// nothing. For SentencePiece the space that encode() put in front of the text is removed again.
    std::string decode(std::span<const int32_t> ids) const;

    /// The bytes one id stands for, which need not be whole UTF-8; empty for special tokens and unknown ids. With
    /// `keepSpecial` a special token gives its name. Valid as long as the tokenizer.
    std::string_view pieceBytes(int32_t id, bool keepSpecial = false) const;

    /// The id of an added token such as "<|endoftext|>", or of a vocabulary entry spelled exactly so in the file.
    std::optional<int32_t> idOf(std::string_view token) const;

    /// One more than the largest id.
    int32_t vocabSize() const;
    std::optional<int32_t> bosId() const;
    std::optional<int32_t> eosId() const;
    /// Whether texts of this model begin with BOS: `add_bos_token`, else the post-processor's leading special token.
    bool addsBos() const;
    /// decode() removes one leading space (SentencePiece's dummy prefix).
    bool stripsLeadingSpace() const;

  private:
    struct State;
    std::unique_ptr<const State> state_;
};

}  // namespace vulcat::text
