#ifndef VULCAT_HPP
#define VULCAT_HPP
// vulcat.h for C++17 and later: the same functions with destructors and exceptions, nothing else. Each class owns one
// handle, moves and does not copy; the rules on threads and lifetimes are those of vulcat.h.

#include "vulcat.h"

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vulcat {

/// What the C functions report: the result and the context's error text.
class Failure : public std::exception {
  public:
    Failure(VulcatResult code, std::string text) : code_(code), text_(std::move(text)) {}
    VulcatResult code() const { return code_; }
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    VulcatResult code_;
    std::string text_;
};

namespace detail {

/// A handle and its destroy function.
template <class T, void (*destroy)(T)>
class Handle {
  public:
    Handle() = default;
    Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { destroy(value_); }
    T get() const { return value_; }
    T* out() { return &value_; }

  private:
    T value_ = nullptr;
};

inline void require(VulcatResult result, VulcatContext context) {
    if (result != VULCAT_SUCCESS) throw Failure(result, vulcatContextErrorText(context));
}

}  // namespace detail

class Context {
  public:
    /// device: "auto", an index, a UUID, or a part of the name.
    explicit Context(const std::string& device = "auto", VulcatLogFunction log = nullptr, void* userData = nullptr) {
        char text[512] = "";
        VulcatContextInfo info{};
        info.structSize = sizeof info;
        info.device = device.c_str();
        info.log = log;
        info.userData = userData;
        info.errorText = text;
        info.errorTextSize = sizeof text;
        const VulcatResult result = vulcatCreateContext(&info, handle_.out());
        if (result != VULCAT_SUCCESS) throw Failure(result, text);
    }
    /// All of VulcatContextInfo; structSize and the error text are filled in here.
    explicit Context(VulcatContextInfo info) {
        char text[512] = "";
        info.structSize = sizeof info;
        info.errorText = text;
        info.errorTextSize = sizeof text;
        const VulcatResult result = vulcatCreateContext(&info, handle_.out());
        if (result != VULCAT_SUCCESS) throw Failure(result, text);
    }
    VulcatContext handle() const { return handle_.get(); }
    void setMode(VulcatMode mode) { detail::require(vulcatSetMode(handle(), mode), handle()); }
    /// After a lost device; `host` for a context on the host's device.
    void recreate(const VulcatHostDevice* host = nullptr) { detail::require(vulcatRecreate(handle(), host), handle()); }
    std::vector<unsigned char> blob(VulcatBlob kind) const {
        size_t bytes = 0;
        detail::require(vulcatContextBlob(handle(), kind, nullptr, &bytes), handle());
        std::vector<unsigned char> data(bytes);
        detail::require(vulcatContextBlob(handle(), kind, data.data(), &bytes), handle());
        data.resize(bytes);
        return data;
    }
    std::string deviceName() const {
        VulcatDeviceInfo info{};
        info.structSize = sizeof info;
        detail::require(vulcatContextDevice(handle(), &info), handle());
        return info.name;
    }

  private:
    detail::Handle<VulcatContext, vulcatDestroyContext> handle_;
};

/// One quantised linear layer for the host's command buffers.
class Linear {
  public:
    /// structSize is filled in here.
    Linear(const Context& context, VulcatLinearInfo info) : context_(context.handle()) {
        info.structSize = sizeof info;
        detail::require(vulcatCreateLinear(context_, &info, handle_.out()), context_);
    }
    VulcatLinear handle() const { return handle_.get(); }
    VulcatLinearProperties properties() const {
        VulcatLinearProperties result{};
        result.structSize = sizeof result;
        detail::require(vulcatLinearProperties(handle(), &result), context_);
        return result;
    }
    void record(VulcatLinearRun run) {
        run.structSize = sizeof run;
        detail::require(vulcatCmdLinear(handle(), &run), context_);
    }

  private:
    VulcatContext context_;
    detail::Handle<VulcatLinear, vulcatDestroyLinear> handle_;
};

class Model {
  public:
    Model(const Context& context, const std::string& folder, VulcatProgressFunction progress = nullptr,
          void* userData = nullptr)
        : context_(context.handle()) {
        VulcatModelInfo info{};
        info.structSize = sizeof info;
        info.folder = folder.c_str();
        info.progress = progress;
        info.userData = userData;
        detail::require(vulcatLoadModel(context_, &info, handle_.out()), context_);
    }
    VulcatModel handle() const { return handle_.get(); }
    VulcatContext context() const { return context_; }

    void tune(VulcatProgressFunction progress = nullptr, void* userData = nullptr) const {
        detail::require(vulcatTuneModel(handle(), progress, userData), context_);
    }
    VulcatModelProperties properties() const {
        VulcatModelProperties result{};
        result.structSize = sizeof result;
        detail::require(vulcatModelProperties(handle(), &result), context_);
        return result;
    }
    std::vector<int32_t> tokenize(std::string_view text, bool addBos) const {
        size_t count = 0;
        detail::require(vulcatTokenize(handle(), text.data(), text.size(), addBos, nullptr, &count), context_);
        std::vector<int32_t> tokens(count);
        if (count == 0) return tokens;
        detail::require(vulcatTokenize(handle(), text.data(), text.size(), addBos, tokens.data(), &count), context_);
        return tokens;
    }
    std::string detokenize(const std::vector<int32_t>& tokens) const {
        size_t bytes = 0;
        detail::require(vulcatDetokenize(handle(), tokens.data(), tokens.size(), nullptr, &bytes), context_);
        std::string text(bytes, '\0');
        if (bytes == 0) return text;
        detail::require(vulcatDetokenize(handle(), tokens.data(), tokens.size(), text.data(), &bytes), context_);
        return text;
    }

  private:
    VulcatContext context_;
    detail::Handle<VulcatModel, vulcatDestroyModel> handle_;
};

class Session {
  public:
    explicit Session(const Model& model, uint32_t contextLength = 0)
        : context_(model.context()), vocabularySize_(model.properties().vocabularySize) {
        VulcatSessionInfo info{};
        info.structSize = sizeof info;
        info.contextLength = contextLength;
        detail::require(vulcatCreateSession(model.handle(), &info, handle_.out()), context_);
    }
    VulcatSession handle() const { return handle_.get(); }
    uint32_t position() const { return vulcatSessionPosition(handle()); }

    void setSampling(float temperature, uint32_t topK = 0, float topP = 1.0f, uint64_t seed = 0) {
        VulcatSampling sampling{};
        sampling.structSize = sizeof sampling;
        sampling.temperature = temperature;
        sampling.topK = topK;
        sampling.topP = topP;
        sampling.seed = seed;
        detail::require(vulcatSessionSetSampling(handle(), &sampling), context_);
    }
    void append(const std::vector<int32_t>& tokens) {
        detail::require(vulcatSessionAppend(handle(), tokens.data(), tokens.size()), context_);
    }
    /// For step().
    void queue(const std::vector<int32_t>& tokens) {
        detail::require(vulcatSessionQueue(handle(), tokens.data(), tokens.size()), context_);
    }
    VulcatStep step(uint32_t budgetUs) {
        VulcatStep result{};
        result.structSize = sizeof result;
        detail::require(vulcatSessionStep(handle(), budgetUs, &result), context_);
        return result;
    }
    std::vector<unsigned char> save() const {
        size_t bytes = 0;
        detail::require(vulcatSessionSave(handle(), nullptr, &bytes), context_);
        std::vector<unsigned char> state(bytes);
        detail::require(vulcatSessionSave(handle(), state.data(), &bytes), context_);
        return state;
    }
    void restore(const std::vector<unsigned char>& state) {
        detail::require(vulcatSessionRestore(handle(), state.data(), state.size()), context_);
    }
    std::vector<float> logits() const {
        std::vector<float> row(vocabularySize_);
        detail::require(vulcatSessionLogits(handle(), row.data(), row.size()), context_);
        return row;
    }
    int32_t sample() {
        int32_t token = 0;
        detail::require(vulcatSessionSample(handle(), &token), context_);
        return token;
    }
    void reset() { detail::require(vulcatSessionReset(handle()), context_); }
    void truncate(uint32_t position) { detail::require(vulcatSessionTruncate(handle(), position), context_); }

    /// Calls onText(std::string_view) with each piece of the generated text; returns the number of generated tokens.
    /// An exception of onText stops the generation and comes out of here.
    template <class OnText>
    uint32_t generate(std::string_view prompt, uint32_t maxTokens, OnText&& onText) {
        struct Call {
            OnText& onText;
            std::exception_ptr thrown;
        } call{onText, nullptr};
        VulcatGenerateInfo info{};
        info.structSize = sizeof info;
        info.prompt = prompt.data();
        info.promptBytes = prompt.size();
        info.maxTokens = maxTokens;
        info.userData = &call;
        info.text = [](void* userData, const char* text, size_t bytes) {
            auto& self = *static_cast<Call*>(userData);
            try {
                self.onText(std::string_view(text, bytes));
                return 0;
            } catch (...) {
                self.thrown = std::current_exception();
                return 1;
            }
        };
        uint32_t generated = 0;
        const VulcatResult result = vulcatGenerate(handle(), &info, &generated);
        if (call.thrown) std::rethrow_exception(call.thrown);
        detail::require(result, context_);
        return generated;
    }

  private:
    VulcatContext context_;
    uint32_t vocabularySize_;
    detail::Handle<VulcatSession, vulcatDestroySession> handle_;
};

}  // namespace vulcat
#endif
