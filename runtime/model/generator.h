#pragma once
// Text to text: a tokenizer, a session and a sampler together. It keeps the logits after the last token.

#include "model/sampling.h"
#include "model/session.h"

#include "text/streaming_decoder.h"
#include "text/tokenizer.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace vulcat::model {

/// Receives whole UTF-8 characters. Return false to stop.
using TextCallback = std::function<bool(std::string_view text)>;

/// The session and the tokenizer must outlive it; nothing else may append to the session meanwhile.
class Generator {
  public:
    Generator(Session& session, const text::Tokenizer& tokenizer, const SamplingOptions& sampling = {});

    /// Appends tokens and keeps the logits after the last of them. Errors: those of Session::forward.
    void append(std::span<const int32_t> tokens);
    /// Appends a text, in an empty session after the opening token where the tokenizer's rule asks for one; an empty
    /// text in an empty session is the opening token alone.
    /// Errors: InvalidArgument when there is nothing to append and nothing to continue from.
    void appendText(std::string_view prompt);

    /// Takes the logits of tokens that were appended to the session by other means.
    void accept(std::vector<float> logits);
    /// The session was replaced by a saved one with these logits, perhaps none.
    void restored(std::vector<float> logits);
    bool hasLogits() const { return !logits_.empty(); }
    /// Logits after the last token. Errors: InvalidArgument when nothing was appended since the last reset.
    std::span<const float> logits() const;
    /// Chooses the next token without appending it.
    int32_t sample();
    void setSampling(const SamplingOptions& options) { sampler_ = Sampler(options); }

    /// Samples and appends until the text ends, `maxTokens` tokens (0: no limit) are made, the context is full or
    /// `text` says stop. Returns the number of tokens made, the ending one not counted. When appending a token fails,
    /// its text is out already: the next append or generation appends it first and goes on as if nothing had happened.
    uint32_t generate(uint32_t maxTokens, const TextCallback& text);

    /// Whether this token ends a text, by the model's configuration or else by the tokenizer.
    bool endsText(int32_t token) const;

    void reset();
    void truncate(uint32_t position);
    const Session& session() const { return session_; }

  private:
    void appendPending();
    /// The same while generating: where the sampler needs few logits, only they leave the device.
    void appendGenerated();

    Session& session_;
    const text::Tokenizer& tokenizer_;
    Sampler sampler_;
    std::vector<float> logits_;
    std::vector<Candidate> largest_;  ///< of the logits left on the device, while generating
    std::optional<int32_t> pending_;                 ///< chosen and told, but not appended
    std::optional<text::StreamingDecoder> decoder_;  ///< of the generation that pending_ interrupted
    bool promptHasText_ = false;  ///< what is generated continues a text, so its leading space counts
};

/// The token that opens a text of this model, or nothing.
std::optional<int32_t> openingToken(const format::ModelConfig& config, const text::Tokenizer& tokenizer);

/// Whether a token ends a text of this model.
bool endsText(const format::ModelConfig& config, const text::Tokenizer& tokenizer, int32_t token);

}  // namespace vulcat::model
