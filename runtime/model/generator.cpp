#include "model/generator.h"

#include "base/error.h"

#include <algorithm>

namespace vulcat::model {

std::optional<int32_t> openingToken(const format::ModelConfig& config, const text::Tokenizer& tokenizer) {
    return tokenizer.bosId() ? tokenizer.bosId() : config.bosTokenId;
}

bool endsText(const format::ModelConfig& config, const text::Tokenizer& tokenizer, int32_t token) {
    const std::vector<int32_t>& ids = config.eosTokenIds;
    if (!ids.empty()) return std::find(ids.begin(), ids.end(), token) != ids.end();
    return tokenizer.eosId() == token;
}

Generator::Generator(Session& session, const text::Tokenizer& tokenizer, const SamplingOptions& sampling)
    : session_(session), tokenizer_(tokenizer), sampler_(sampling) {}

void Generator::append(std::span<const int32_t> tokens) {
    appendPending();
    accept(session_.forward(tokens, LogitsRows::Last));
}

void Generator::accept(std::vector<float> logits) {
    logits_ = std::move(logits);
    largest_.clear();
    promptHasText_ = promptHasText_ || session_.position() > 1;
}

void Generator::restored(std::vector<float> logits) {
    pending_.reset();
    promptHasText_ = false;
    accept(std::move(logits));
}

void Generator::appendPending() {
    if (!pending_) return;
    accept(session_.forward({&*pending_, 1}, LogitsRows::Last));
    pending_.reset();
}

void Generator::appendText(std::string_view prompt) {
    const bool start = session_.position() == 0;
    std::vector<int32_t> tokens = tokenizer_.encode(prompt, start && tokenizer_.addsBos());
    if (start && tokens.empty()) {
        if (const auto opening = openingToken(session_.model().config(), tokenizer_)) tokens.push_back(*opening);
    }
    if (tokens.empty()) {
        if (start) {
            throw Error(Result::InvalidArgument, "this model has no opening token: the prompt must not be empty");
        }
        logits();  // throws when there is nothing to continue from
        return;
    }
    append(tokens);
    promptHasText_ = promptHasText_ || !prompt.empty();
}

std::span<const float> Generator::logits() const {
    if (logits_.empty()) {
        throw Error(Result::InvalidArgument, "there are no logits: append a token first");
    }
    return logits_;
}

int32_t Generator::sample() {
    return sampler_.choose(logits());
}

uint32_t Generator::generate(uint32_t maxTokens, const TextCallback& text) {
    if (!pending_ || !decoder_) decoder_.emplace(tokenizer_, !promptHasText_);
    if (!largest_.empty()) accept(session_.logitsLeft());  // of a generation that the callback ended by throwing
    appendPending();
    const auto emit = [&](const std::string& piece) { return piece.empty() || !text || text(piece); };
    uint32_t made = 0;
    bool goOn = true;
    while (goOn && (maxTokens == 0 || made < maxTokens)) {
        const int32_t token = largest_.empty() ? sample() : sampler_.chooseAmong(largest_);
        if (endsText(token)) break;
        ++made;
        goOn = emit(decoder_->feed(token));
        if (session_.position() == session_.contextLength()) break;
        pending_ = token;
        appendGenerated();
    }
    if (!largest_.empty()) accept(session_.logitsLeft());
    if (goOn) emit(decoder_->finish());
    return made;
}

void Generator::appendGenerated() {
    const uint32_t wanted = std::min(sampler_.decisive(), static_cast<uint32_t>(session_.model().config().vocabSize));
    if (wanted == 0 || wanted > session_.mostLargest()) return appendPending();
    largest_.clear();
    std::vector<Candidate> largest = session_.largestAfter(*pending_, wanted);
    accept({});
    largest_ = std::move(largest);
    pending_.reset();
}

bool Generator::endsText(int32_t token) const {
    return model::endsText(session_.model().config(), tokenizer_, token);
}

void Generator::reset() {
    truncate(0);
}

void Generator::truncate(uint32_t position) {
    pending_.reset();
    if (position == session_.position()) return;
    session_.truncate(position);
    logits_.clear();
    largest_.clear();
    if (position == 0) promptHasText_ = false;
}

}  // namespace vulcat::model
