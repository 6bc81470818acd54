#pragma once
// One token sequence on a model: its key-value cache and the memory of its forward passes.

#include "model/activation_plan.h"
#include "model/decoder_model.h"
#include "model/sampling.h"
#include "model/token_program.h"

#include "kernels/top_logits.h"
#include "vk/profiler.h"
#include "vk/recorder.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <vector>

namespace vulcat::model {

struct SessionOptions {
    /// Positions to hold. 0: as many as the model was trained for, but at most 4096 and no more than the device holds
    /// in a quarter of its memory.
    uint32_t contextLength = 0;
    uint32_t chunkRows = 0;  ///< most tokens in one pass; at most, and for 0 usually, layers::kMaxRows; 0 on an integrated GPU: 128
    uint32_t logitRows = 1;  ///< rows of logits computed at once when all are asked for; costs memory, saves time
    bool warmUp = true;      ///< run each pipeline once, since some drivers compile only then
    /// Whether largestAfter() works, for which generation then asks where sampling allows; nothing: where it saves time.
    std::optional<bool> findsLargest = std::nullopt;
};

enum class LogitsRows {
    Last,  ///< of the last token: [vocabulary]
    All,   ///< of every token given: [tokens, vocabulary]
};

/// What a session was told: enough to make it again, in the same passes and so to the same bits.
struct SessionHistory {
    std::vector<int32_t> tokens;
    std::vector<uint32_t> passEnds;  ///< tokens held after each forward pass
};

/// The context length and the rows of a pass that the options lead to on this device. Errors: InvalidArgument for a
/// context that the model or the device cannot hold.
struct SessionShape {
    uint32_t contextLength = 0;
    uint32_t chunkRows = 0;
    uint32_t logitRows = 0;
};
SessionShape sessionShape(const layers::Engine& engine, const format::ModelConfig& config,
                          const SessionOptions& options);

/// All pipelines and memory are made in the constructor, none later. The model must outlive it.
class Session {
  public:
    /// Errors: InvalidArgument for a context the model or the device cannot hold, OutOfMemory.
    explicit Session(const DecoderModel& model, const SessionOptions& options = {});
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Appends the tokens and returns logits. Long prompts run in chunks; the result does not depend on where they
    /// are cut but for rounding. On an error nothing is appended.
    /// Errors: InvalidArgument for no tokens, a token outside the vocabulary, or more than the context holds.
    std::vector<float> forward(std::span<const int32_t> tokens, LogitsRows which = LogitsRows::Last);

    /// As forward({token}), but of the logits only the `wanted` largest leave the device: in falling order, the lower id
    /// first among equals, a NaN before every number. Precondition: 1 <= wanted <= mostLargest().
    std::vector<Candidate> largestAfter(int32_t token, uint32_t wanted);
    /// 0 in a session that does not find them.
    uint32_t mostLargest() const;
    /// All logits that the last largestAfter() left on the device. Precondition: nothing ran in the session since.
    std::vector<float> logitsLeft();

    uint32_t position() const { return position_; }  ///< tokens held
    uint32_t contextLength() const { return contextLength_; }
    uint32_t chunkRows() const { return chunkRows_; }
    const DecoderModel& model() const { return model_; }

    void reset() { truncate(0); }
    /// Keeps the first `position` tokens. Errors: InvalidArgument when there are fewer.
    void truncate(uint32_t position);

    const SessionHistory& history() const { return history_; }
    /// Runs the passes of a history again. Precondition: the session is empty. Errors: those of forward().
    void replay(const SessionHistory& history);
    /// Takes a history whose keys and values were written into cache(). Precondition: it fits the context.
    void adopt(SessionHistory history);
    const KeyValueCache& cache() const { return cache_; }

    /// Errors: InvalidArgument unless the tokens are valid and fit behind `queued` more tokens than the session holds.
    void requireRoom(std::span<const int32_t> tokens, size_t queued = 0) const;
    /// For Stepper: the commands of the pass that appends a chunk of at most chunkRows() tokens, instead of running
    /// them. The pass is over with commit(); until then nothing else may run in this session.
    void capture(std::span<const int32_t> chunk, bool withLogits, vk::CommandList& list);
    void commit(std::span<const int32_t> chunk);
    /// What a captured pass with logits left, [vocabulary].
    std::vector<float> capturedLogits() const;

    /// Collects the times of all later dispatches; null stops it.
    void profileWith(vk::Profiler* profiler);
    /// Appends a note of each later dispatch; null stops it.
    void noteDispatches(std::vector<vk::DispatchNote>* notes);

    /// What the host spent recording so far.
    std::chrono::nanoseconds recordingTime() const;
    /// Kernels of a token that run as one dispatch, but for passes that are profiled, noted or stepped; 0: none do.
    size_t programSteps() const { return tokenProgram_ ? tokenProgram_->stepCount() : 0; }
    /// Whether the pass of one more token is recorded already, as the last such pass was read.
    bool isPrepared() const { return prepared_ && prepared_->position == position_; }

  private:
    /// The recorded pass of one token: its commands depend on nothing but this.
    struct Prepared {
        uint32_t position = 0;
        uint32_t wanted = 0;  // of the largest logits; 0: all logits
        std::exception_ptr error;
    };

    Session(const DecoderModel& model, const SessionShape& shape, const SessionOptions& options);
    vk::Recorder& recorder() { return recorders_[current_]; }
    void setTokens(std::span<const int32_t> tokens);
    /// `whole`: nothing is submitted in between.
    void recordPass(uint32_t rows, uint32_t position, bool whole);
    void recordToken(uint32_t position, uint32_t wanted);
    /// Records the pass of a token into the other recorder. Nothing is thrown before that pass is wanted.
    void prepareToken(uint32_t position, uint32_t wanted);
    /// Appends a token. While the device works on it, the pass of the next one is recorded.
    void runToken(int32_t token, uint32_t wanted);
    void recordHead(uint32_t firstRow, uint32_t rows);
    void recordLogits(uint32_t firstRow, uint32_t rows);
    void readLogits(uint32_t firstRow, uint32_t rows, std::vector<float>& logits);
    class Settles;
    void submit();
    /// The device works on it while the next part of the pass is recorded; submit() ends it.
    void submitAhead();
    void warmUp();

    const DecoderModel& model_;
    uint32_t contextLength_;
    uint32_t chunkRows_;
    uint32_t logitRows_;
    ActivationPlan plan_;
    KeyValueCache cache_;
    vk::Arena tableArena_;
    vk::BufferView ropeTable_;
    std::optional<TokenProgram> tokenProgram_;
    bool logitsRecorded_ = false;  // by the pass recorded last
    std::optional<kernels::TopLogits> largest_;
    vk::Arena largestHost_;
    vk::BufferView largestScratch_, top_, topHost_;
    std::array<vk::Recorder, 2> recorders_;
    size_t current_ = 0;
    std::optional<Prepared> prepared_;  // in the other recorder
    bool noting_ = false;
    vk::Profiler* profiler_ = nullptr;
    uint32_t position_ = 0;
    SessionHistory history_;
};

}  // namespace vulcat::model
