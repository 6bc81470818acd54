#include "model/session_state.h"

#include "base/error.h"
#include "vk/pipeline_cache.h"
#include "vk/transfer.h"

#include <array>
#include <cmath>
#include <cstring>
#include <string>

namespace vulcat::model {
namespace {

constexpr char kMagic[8] = {'V', 'U', 'L', 'C', 'A', 'T', 'K', 'V'};
constexpr uint32_t kVersion = 1;

struct StateHeader {
    char magic[8];
    uint32_t version, tokens, passes, logits;
    uint64_t fingerprint, checksum;
};
static_assert(sizeof(StateHeader) == 40);

uint64_t fingerprint(const DecoderModel& model) {
    const format::ModelConfig& config = model.config();
    const std::array<int64_t, 9> facts = {
        config.hiddenSize, config.intermediateSize, config.layers,
        config.heads,      config.kvHeads,          config.headDim,
        config.vocabSize,  config.maxPositions,     static_cast<int64_t>(model.weightsBytes())};
    return vk::fnv1a(std::as_bytes(std::span(facts)));
}

/// Of the whole file, with the place of the checksum itself taken as zero.
uint64_t checksumOf(StateHeader header, std::span<const std::byte> rest) {
    header.checksum = 0;
    return vk::fnv1a(rest, vk::fnv1a(std::as_bytes(std::span(&header, 1))));
}

uint64_t bytesAfterHeader(const DecoderModel& model, uint64_t tokens, uint64_t passes, uint64_t logits) {
    return 4 * (tokens + passes + logits) + tokens * KeyValueCache::positionBytes(model.config());
}

[[noreturn]] void badState(const std::string& what) {
    throw Error(Result::InvalidFile, "the saved session " + what);
}

template <class T>
void take(std::span<const std::byte>& from, std::vector<T>& values, size_t count) {
    values.resize(count);
    if (count != 0) std::memcpy(values.data(), from.data(), count * sizeof(T));
    from = from.subspan(count * sizeof(T));
}

/// The first positions of every layer's keys and values, in the order of the file.
std::vector<vk::BufferView> heldViews(const Session& session, uint32_t positions) {
    const format::ModelConfig& config = session.model().config();
    const uint64_t bytes =
        uint64_t{positions} * KeyValueCache::positionBytes(config) / (2 * static_cast<uint64_t>(config.layers));
    std::vector<vk::BufferView> views;
    for (int layer = 0; layer < config.layers; ++layer) {
        const layers::LayerCache& cache = session.cache().layer(static_cast<size_t>(layer));
        views.push_back(cache.keys.part(0, bytes));
        views.push_back(cache.values.part(0, bytes));
    }
    return views;
}

void checkHistory(const Session& session, const SessionHistory& history) {
    for (int32_t token : history.tokens) {
        if (token < 0 || token >= session.model().config().vocabSize) badState("holds a token outside the vocabulary");
    }
    uint32_t last = 0;
    for (uint32_t end : history.passEnds) {
        if (end <= last) badState("has a pass without tokens");
        last = end;
    }
    if (last != history.tokens.size()) badState("has passes that do not add up to its tokens");
}

}  // namespace

uint64_t stateBytes(const Session& session, size_t logits) {
    const SessionHistory& history = session.history();
    return sizeof(StateHeader) +
           bytesAfterHeader(session.model(), history.tokens.size(), history.passEnds.size(), logits);
}

std::vector<std::byte> saveSession(const Session& session, std::span<const float> logits) {
    const SessionHistory& history = session.history();
    std::vector<std::byte> state(sizeof(StateHeader));
    const auto put = [&state](const auto& values) {
        const auto bytes = std::as_bytes(std::span(values));
        state.insert(state.end(), bytes.begin(), bytes.end());
    };
    put(history.tokens);
    put(history.passEnds);
    put(logits);
    if (session.position() != 0) {
        for (const vk::BufferView& view : heldViews(session, session.position())) {
            const size_t at = state.size();
            state.resize(at + static_cast<size_t>(view.size));
            vk::download(session.model().engine().device, view, std::span(state).subspan(at));
        }
    }
    StateHeader header{};
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    header.version = kVersion;
    header.tokens = static_cast<uint32_t>(history.tokens.size());
    header.passes = static_cast<uint32_t>(history.passEnds.size());
    header.logits = static_cast<uint32_t>(logits.size());
    header.fingerprint = fingerprint(session.model());
    header.checksum = checksumOf(header, std::span(state).subspan(sizeof header));
    std::memcpy(state.data(), &header, sizeof header);
    return state;
}

std::vector<float> restoreSession(Session& session, std::span<const std::byte> state) {
    StateHeader header{};
    if (state.size() < sizeof header) badState("is too short");
    std::memcpy(&header, state.data(), sizeof header);
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) badState("is something else");
    if (header.version != kVersion) badState("is of version " + std::to_string(header.version));
    std::span<const std::byte> rest = state.subspan(sizeof header);
    if (header.checksum != checksumOf(header, rest)) badState("is damaged");
    if (header.fingerprint != fingerprint(session.model())) badState("belongs to another model");
    if (header.tokens > session.contextLength()) {
        throw Error(Result::InvalidArgument, "the saved session holds " + std::to_string(header.tokens) +
                                                 " tokens, the context " + std::to_string(session.contextLength()));
    }
    const auto vocabulary = static_cast<uint32_t>(session.model().config().vocabSize);
    if (header.logits != 0 && header.logits != vocabulary) badState("has logits of another vocabulary");
    if (rest.size() != bytesAfterHeader(session.model(), header.tokens, header.passes, header.logits)) {
        badState("has another length than its header says");
    }
    SessionHistory history;
    std::vector<float> logits;
    take(rest, history.tokens, header.tokens);
    take(rest, history.passEnds, header.passes);
    take(rest, logits, header.logits);
    checkHistory(session, history);
    vk::Uploader uploader(session.model().engine().device);
    if (header.tokens != 0) {
        for (const vk::BufferView& view : heldViews(session, header.tokens)) {
            uploader.write(view, rest.first(static_cast<size_t>(view.size)));
            rest = rest.subspan(static_cast<size_t>(view.size));
        }
    }
    uploader.finish();
    session.adopt(std::move(history));
    return logits;
}

}  // namespace vulcat::model
