#pragma once
// Text of tokens as they come, never a broken character.

#include "text/tokenizer.h"

#include <cstdint>
#include <string>

namespace vulcat::text {

/// Turns ids into text one by one and holds back an unfinished UTF-8 sequence until its last byte is there. The joined
/// results of feed() and finish() equal Tokenizer::decode() of all ids. The tokenizer must outlive the decoder.
class StreamingDecoder {
  public:
    /// `atTextStart`: the first id begins the text, so that SentencePiece's leading space is dropped; false when the
    /// ids continue a prompt.
    explicit StreamingDecoder(const Tokenizer& tokenizer, bool atTextStart = true);

    /// The text that is complete after this id; may be empty. Always valid UTF-8.
    std::string feed(int32_t id);
    /// What was held back, as U+FFFD; the decoder then stands at the start of a text that continues.
    std::string finish();

  private:
    const Tokenizer* tokenizer_;
    bool dropSpace_;
    std::string pending_;
};

}  // namespace vulcat::text
