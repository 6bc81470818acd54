#include "text/streaming_decoder.h"

#include "text/utf8.h"

#include <utility>

namespace vulcat::text {

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool atTextStart)
    : tokenizer_(&tokenizer), dropSpace_(atTextStart && tokenizer.stripsLeadingSpace()) {}

std::string StreamingDecoder::feed(int32_t id) {
    std::string_view bytes = tokenizer_->pieceBytes(id);
    if (dropSpace_ && !bytes.empty()) {
        if (bytes.front() == ' ') bytes.remove_prefix(1);
        dropSpace_ = false;
    }
    pending_ += bytes;
    return takeComplete(pending_);
}

std::string StreamingDecoder::finish() {
    return repairedUtf8(std::exchange(pending_, {}));
}

}  // namespace vulcat::text
