#include "model/session.h"

#include "base/error.h"
#include "kernels/rope_table.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

namespace vulcat::model {
namespace {

/// From this many rows on each layer is submitted on its own, so that no submission of a long prompt on a slow device
/// runs into the seconds after which desktops kill it.
constexpr uint32_t kRowsOfOneSubmission = 16;
constexpr uint32_t kDefaultContext = 4096;
constexpr VkDeviceSize kTopBytes = kernels::TopLogits::kMostWanted * sizeof(Candidate);
static_assert(sizeof(Candidate) == 8);  // as the device writes it: index, bits of the logit

uint32_t chooseContext(const layers::Engine& engine, const format::ModelConfig& config, uint32_t asked) {
    const auto trained = static_cast<uint32_t>(config.maxPositions);
    const uint64_t bindable = KeyValueCache::maxContext(engine, config);
    if (asked > trained) {
        throw Error(Result::InvalidArgument, "a context of " + std::to_string(asked) + " tokens is longer than the " +
                                                 std::to_string(trained) + " that the model was trained for");
    }
    if (asked > bindable) {
        throw Error(Result::InvalidArgument, "a context of " + std::to_string(asked) + " tokens is longer than the " +
                                                 std::to_string(bindable) +
                                                 " whose keys the device can bind at once: ask for a shorter one");
    }
    if (asked != 0) return asked;
    const uint64_t affordable = engine.device.limits().heapBytes / 4 / KeyValueCache::positionBytes(config);
    const uint64_t chosen = std::min({uint64_t{trained}, uint64_t{kDefaultContext}, bindable, affordable});
    return static_cast<uint32_t>(std::max<uint64_t>(chosen, 1));
}

/// Desktops kill submissions of some seconds. A layer's of an 8 B model is 220 billion multiplications and additions at 512
/// rows, which the smallest GPUs would take as long for; and a few times 128 is nearly as fast.
uint32_t chunkAsked(const layers::Engine& engine, uint32_t asked) {
    constexpr uint32_t kOfSmallGpu = 128;
    return asked == 0 && engine.device.info().type == vk::DeviceType::Integrated ? kOfSmallGpu : asked;
}

uint32_t chooseRows(uint32_t asked, uint32_t most, uint32_t contextLength) {
    return std::min({asked == 0 ? most : asked, most, contextLength});
}

vk::BufferView uploadTable(const DecoderModel& model, vk::Arena& arena, uint32_t positions) {
    const format::ModelConfig& config = model.config();
    const std::vector<float> table =
        kernels::ropeTable(static_cast<uint32_t>(config.headDim), config.ropeTheta, config.ropeScaling, positions);
    vk::Uploader uploader(model.engine().device);
    const vk::BufferView view = arena.allocate(table.size() * sizeof(float));
    uploader.write(view, std::span<const float>(table));
    uploader.finish();
    return view;
}

}  // namespace

/// Leaves nothing on the device that an exception has cut off: who writes to the cache next must not meet it there.
class Session::Settles {
  public:
    explicit Settles(Session& session) : session_(session), before_(std::uncaught_exceptions()) {}
    ~Settles() {
        if (std::uncaught_exceptions() == before_) return;
        for (vk::Recorder& recorder : session_.recorders_) {
            try {
                session_.model_.engine().device.wait(recorder);
            } catch (const Error&) {
                // A lost device does nothing any more; the error on its way says it.
            }
        }
    }
    Settles(const Settles&) = delete;
    Settles& operator=(const Settles&) = delete;

  private:
    Session& session_;
    int before_;
};

SessionShape sessionShape(const layers::Engine& engine, const format::ModelConfig& config,
                          const SessionOptions& options) {
    SessionShape shape;
    shape.contextLength = chooseContext(engine, config, options.contextLength);
    shape.chunkRows = chooseRows(chunkAsked(engine, options.chunkRows), ActivationPlan::maxRows(engine, config), shape.contextLength);
    shape.logitRows =
        chooseRows(std::max(options.logitRows, 1u), ActivationPlan::maxLogitRows(engine, config), shape.chunkRows);
    return shape;
}

Session::Session(const DecoderModel& model, const SessionOptions& options)
    : Session(model, sessionShape(model.engine(), model.config(), options), options) {}

Session::Session(const DecoderModel& model, const SessionShape& shape, const SessionOptions& options)
    : model_(model),
      contextLength_(shape.contextLength),
      chunkRows_(shape.chunkRows),
      logitRows_(shape.logitRows),
      plan_(model.engine(), model.config(), chunkRows_, logitRows_),
      cache_(model.engine(), model.config(), contextLength_),
      tableArena_(model.engine().device, vk::MemoryIntent::Device, 4096),
      ropeTable_(uploadTable(model, tableArena_, contextLength_)),
      largestHost_(model.engine().device, vk::MemoryIntent::Readback, kTopBytes),
      recorders_{vk::Recorder(model.engine().device), vk::Recorder(model.engine().device)} {
    vk::Device& device = model.engine().device;
    if (model.rowProgram() != nullptr) tokenProgram_.emplace(model, plan_, cache_, ropeTable_);
    if (options.findsLargest.value_or(kernels::TopLogits::preferred(device))) {
        largest_.emplace(device, model.engine().pipelines, static_cast<uint32_t>(model.config().vocabSize));
        largestScratch_ = tableArena_.allocate(largest_->scratchBytes());
        top_ = tableArena_.allocate(kTopBytes);
        topHost_ = largestHost_.allocate(kTopBytes);
    }
    if (options.warmUp) warmUp();
}

std::vector<float> Session::forward(std::span<const int32_t> tokens, LogitsRows which) {
    if (tokens.size() == 1) {
        runToken(tokens.front(), 0);
        return capturedLogits();
    }
    requireRoom(tokens);
    const Settles settles(*this);
    std::vector<float> logits;
    uint32_t position = position_;
    std::vector<uint32_t> passEnds;
    for (size_t begin = 0; begin < tokens.size(); begin += chunkRows_) {
        const auto chunk = tokens.subspan(begin, std::min<size_t>(chunkRows_, tokens.size() - begin));
        const auto rows = static_cast<uint32_t>(chunk.size());
        setTokens(chunk);
        recorder().begin();
        recordPass(rows, position, false);
        if (which == LogitsRows::All) {
            for (uint32_t row = 0; row < rows; row += logitRows_) {
                if (row != 0) recorder().begin();
                readLogits(row, std::min(logitRows_, rows - row), logits);
            }
        } else if (begin + rows == tokens.size()) {
            readLogits(rows - 1, 1, logits);
        } else {
            submit();
        }
        position += rows;
        passEnds.push_back(position);
    }
    position_ = position;
    history_.tokens.insert(history_.tokens.end(), tokens.begin(), tokens.end());
    history_.passEnds.insert(history_.passEnds.end(), passEnds.begin(), passEnds.end());
    return logits;
}

void Session::replay(const SessionHistory& history) {
    const Settles settles(*this);
    uint32_t begin = 0;
    for (const uint32_t passEnd : history.passEnds) {
        while (begin < passEnd) {
            const uint32_t rows = std::min(passEnd - begin, chunkRows_);
            const auto chunk = std::span(history.tokens).subspan(begin, rows);
            setTokens(chunk);
            recorder().begin();
            recordPass(rows, begin, false);
            submit();
            commit(chunk);
            begin += rows;
        }
    }
}

void Session::adopt(SessionHistory history) {
    position_ = static_cast<uint32_t>(history.tokens.size());
    history_ = std::move(history);
}

void Session::capture(std::span<const int32_t> chunk, bool withLogits, vk::CommandList& list) {
    requireRoom(chunk);
    const auto rows = static_cast<uint32_t>(chunk.size());
    setTokens(chunk);
    recorder().captureInto(&list);
    try {
        recordPass(rows, position_, true);
        if (withLogits) recordLogits(rows - 1, 1);
    } catch (...) {
        recorder().captureInto(nullptr);
        throw;
    }
    recorder().captureInto(nullptr);
}

void Session::commit(std::span<const int32_t> chunk) {
    position_ += static_cast<uint32_t>(chunk.size());
    history_.tokens.insert(history_.tokens.end(), chunk.begin(), chunk.end());
    history_.passEnds.push_back(position_);
}

std::vector<float> Session::capturedLogits() const {
    std::vector<float> logits(static_cast<size_t>(model_.config().vocabSize));
    std::memcpy(logits.data(), plan_.logitsHost().mapped, logits.size() * sizeof(float));
    return logits;
}

void Session::requireRoom(std::span<const int32_t> tokens, size_t queued) const {
    if (tokens.empty()) throw Error(Result::InvalidArgument, "a forward pass needs at least one token");
    const size_t room = contextLength_ - std::min<size_t>(contextLength_, position_ + queued);
    if (tokens.size() > room) {
        throw Error(Result::InvalidArgument, std::to_string(tokens.size()) + " tokens do not fit: the context of " +
                                                 std::to_string(contextLength_) + " has room for " +
                                                 std::to_string(room) + "; truncate it or make a longer session");
    }
    for (int32_t token : tokens) {
        if (token < 0 || token >= model_.config().vocabSize) {
            throw Error(Result::InvalidArgument, "token " + std::to_string(token) + " is outside the vocabulary of " +
                                                     std::to_string(model_.config().vocabSize));
        }
    }
}

void Session::setTokens(std::span<const int32_t> tokens) {
    std::memcpy(plan_.ids().mapped, tokens.data(), tokens.size_bytes());
}

void Session::recordPass(uint32_t rows, uint32_t position, bool whole) {
    const layers::Activations& activations = plan_.activations();
    model_.embedding().record(
        recorder(), plan_.ids().part(0, uint64_t{rows} * sizeof(int32_t)),
        layers::rowsOf(activations.hidden, rows, static_cast<uint32_t>(model_.config().hiddenSize)), rows);
    const bool program = rows == 1 && tokenProgram_;
    logitsRecorded_ = program && tokenProgram_->makesLogits();
    if (program) {
        // Where it is cut, and where times or notes of each kernel are wanted.
        const bool singly = recorder().captures() || profiler_ != nullptr || noting_;
        return tokenProgram_->record(recorder(), position, singly);
    }
    for (size_t i = 0; i < model_.layers().size(); ++i) {
        model_.layers()[i].record(recorder(), activations, cache_.layer(i), ropeTable_, {rows, position});
        if (rows >= kRowsOfOneSubmission && !whole) {
            submitAhead();
            recorder().begin();
        }
    }
}

void Session::recordToken(uint32_t position, uint32_t wanted) {
    recorder().begin();
    recordPass(1, position, true);
    if (wanted == 0) {
        recordLogits(0, 1);
    } else {
        recordHead(0, 1);
        largest_->record(recorder(), {plan_.logits(), largestScratch_, top_, wanted});
        recorder().copy(top_.part(0, wanted * sizeof(Candidate)), topHost_.part(0, wanted * sizeof(Candidate)));
    }
    recorder().end();
}

void Session::prepareToken(uint32_t position, uint32_t wanted) {
    // Times and notes are of passes that run.
    if (profiler_ != nullptr || noting_ || position >= contextLength_) return;
    prepared_ = Prepared{position, wanted, nullptr};
    current_ = 1 - current_;
    try {
        recordToken(position, wanted);
    } catch (...) {
        prepared_->error = std::current_exception();
    }
    current_ = 1 - current_;
}

void Session::runToken(int32_t token, uint32_t wanted) {
    const std::span<const int32_t> tokens(&token, 1);
    requireRoom(tokens);
    const std::optional<Prepared> prepared = std::exchange(prepared_, std::nullopt);
    if (prepared && prepared->position == position_ && prepared->wanted == wanted) {
        if (prepared->error) std::rethrow_exception(prepared->error);
        current_ = 1 - current_;
    } else {
        recordToken(position_, wanted);
    }
    setTokens(tokens);
    vk::Device& device = model_.engine().device;
    device.submit(recorder());
    prepareToken(position_ + 1, wanted);
    device.wait(recorder());
    if (profiler_ != nullptr) profiler_->collect();
    commit(tokens);
}

void Session::recordHead(uint32_t firstRow, uint32_t rows) {
    if (logitsRecorded_) return;
    const auto width = static_cast<uint32_t>(model_.config().hiddenSize);
    const vk::BufferView input = layers::rowsOf(plan_.headInput(), rows, width);
    // Copied, since a row in the middle of `hidden` need not keep the alignment of storage bindings.
    recorder().copy(plan_.activations().hidden.part(uint64_t{firstRow} * width * sizeof(float), input.size), input);
    model_.logits().record(recorder(), model_.embedding(), input, layers::rowsOf(plan_.headNormed(), rows, width),
                           layers::rowsOf(plan_.logits(), rows, static_cast<uint32_t>(model_.config().vocabSize)), rows,
                           plan_.activations().scratch(format::SiteKind::Head));
}

void Session::recordLogits(uint32_t firstRow, uint32_t rows) {
    const auto vocabulary = static_cast<uint32_t>(model_.config().vocabSize);
    recordHead(firstRow, rows);
    recorder().copy(layers::rowsOf(plan_.logits(), rows, vocabulary),
                   layers::rowsOf(plan_.logitsHost(), rows, vocabulary));
}

uint32_t Session::mostLargest() const {
    if (!largest_) return 0;
    return std::min(kernels::TopLogits::kMostWanted, static_cast<uint32_t>(model_.config().vocabSize));
}

std::vector<Candidate> Session::largestAfter(int32_t token, uint32_t wanted) {
    if (wanted == 0 || wanted > mostLargest()) {
        throw Error(Result::InvalidArgument, "this session finds up to " + std::to_string(mostLargest()) +
                                                 " of the largest logits, not " + std::to_string(wanted));
    }
    runToken(token, wanted);
    std::vector<Candidate> candidates(wanted);
    std::memcpy(candidates.data(), topHost_.mapped, wanted * sizeof(Candidate));
    return candidates;
}

std::vector<float> Session::logitsLeft() {
    const auto vocabulary = static_cast<uint32_t>(model_.config().vocabSize);
    recorder().begin();
    recorder().copy(layers::rowsOf(plan_.logits(), 1, vocabulary), layers::rowsOf(plan_.logitsHost(), 1, vocabulary));
    submit();
    return capturedLogits();
}

void Session::readLogits(uint32_t firstRow, uint32_t rows, std::vector<float>& logits) {
    recordLogits(firstRow, rows);
    submit();
    const auto vocabulary = static_cast<uint32_t>(model_.config().vocabSize);
    const vk::BufferView host = layers::rowsOf(plan_.logitsHost(), rows, vocabulary);
    const size_t before = logits.size();
    logits.resize(before + size_t{rows} * vocabulary);
    std::memcpy(logits.data() + before, host.mapped, host.size);
}

void Session::submit() {
    vk::Device& device = model_.engine().device;
    recorder().end();
    device.submitAndWait(recorder());
    device.wait(recorders_[1 - current_]);  // what went ahead of it
    if (profiler_ != nullptr) profiler_->collect();
}

void Session::submitAhead() {
    if (profiler_ != nullptr) return submit();  // which it reads one at a time
    recorder().end();
    model_.engine().device.submit(recorder());
    prepared_.reset();  // it is in the other
    current_ = 1 - current_;
}

void Session::warmUp() {
    const std::vector<int32_t> tokens(std::min<uint32_t>(chunkRows_, 2 * kRowsOfOneSubmission), 0);
    forward(tokens, logitRows_ > 1 ? LogitsRows::All : LogitsRows::Last);
    reset();
    forward(std::span(tokens).first(1), LogitsRows::Last);
    reset();
    if (!largest_) return;
    largestAfter(tokens.front(), 1);
    reset();
}

void Session::truncate(uint32_t position) {
    if (position > position_) {
        throw Error(Result::InvalidArgument, "the session holds " + std::to_string(position_) +
                                                 " tokens and cannot keep the first " + std::to_string(position));
    }
    position_ = position;
    history_.tokens.resize(position);
    std::vector<uint32_t>& ends = history_.passEnds;
    while (!ends.empty() && ends.back() > position) ends.pop_back();
    if (position != 0 && (ends.empty() || ends.back() < position)) ends.push_back(position);
}

void Session::profileWith(vk::Profiler* profiler) {
    profiler_ = profiler;
    for (vk::Recorder& recorder : recorders_) recorder.profileWith(profiler);
    prepared_.reset();
}

void Session::noteDispatches(std::vector<vk::DispatchNote>* notes) {
    for (vk::Recorder& recorder : recorders_) recorder.noteDispatches(notes);
    noting_ = notes != nullptr;
    prepared_.reset();
}

std::chrono::nanoseconds Session::recordingTime() const {
    return recorders_[0].recordingTime() + recorders_[1].recordingTime();
}

}  // namespace vulcat::model
