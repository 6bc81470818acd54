#include "calibrate/stream.h"

namespace vulcat::calibrate {

Stream::Stream(const Decoder& decoder, std::span<const Sequence> sequences)
    : decoder_(&decoder), attention_(sequences.size()) {
    for (const Sequence& sequence : sequences) hidden_.push_back(decoder.embed(sequence));
}

void Stream::run(const Layer& layer, size_t s, const SiteObserver& observer) {
    decoder_->run(layer, hidden_[s], observer);
}

Matrix Stream::input(const Layer& layer, SiteKind kind, size_t s) {
    switch (kind) {
        case SiteKind::Qkv:
            break;
        case SiteKind::O:
            attention_[s] =
                decoder_->attention(apply(layer.site(SiteKind::Qkv), decoder_->attentionInput(layer, hidden_[s])));
            return attention_[s];
        case SiteKind::GateUp:
            hidden_[s] += apply(layer.site(SiteKind::O), attention_[s])[0];
            attention_[s].resize(0, 0);
            return decoder_->mlpInput(layer, hidden_[s]);
        case SiteKind::Down:
            return Decoder::gated(apply(layer.site(SiteKind::GateUp), decoder_->mlpInput(layer, hidden_[s])));
        case SiteKind::Head:
            return headInput(s);
    }
    return decoder_->attentionInput(layer, hidden_[s]);
}

void Stream::leave(const Layer& layer, size_t s) {
    // The inputs of down are wide: computed again rather than kept for every sequence.
    hidden_[s] += apply(layer.site(SiteKind::Down), input(layer, SiteKind::Down, s))[0];
}

}  // namespace vulcat::calibrate
