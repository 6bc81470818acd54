#include "story.h"

#include <stdexcept>
#include <vector>

namespace {
constexpr uint32_t kContextLength = 512;
}

Story::Story(const VulcatHostDevice& host, const std::string& modelFolder) {
    char why[512] = "";
    VulcatContextInfo contextInfo{};
    contextInfo.structSize = sizeof contextInfo;
    contextInfo.host = &host;
    contextInfo.mode = VULCAT_MODE_GRAPHICS;
    contextInfo.errorText = why;
    contextInfo.errorTextSize = sizeof why;
    if (vulcatCreateContext(&contextInfo, &context_) != VULCAT_SUCCESS) throw std::runtime_error(why);
    VulcatModelInfo modelInfo{};
    modelInfo.structSize = sizeof modelInfo;
    modelInfo.folder = modelFolder.c_str();
    require(vulcatLoadModel(context_, &modelInfo, &model_), "the model");
    VulcatSessionInfo sessionInfo{};
    sessionInfo.structSize = sizeof sessionInfo;
    sessionInfo.contextLength = kContextLength;
    sessionInfo.chunkRows = 16;
    require(vulcatCreateSession(model_, &sessionInfo, &session_), "the session");
    require(vulcatCreateTextStream(model_, &stream_), "the text stream");
}

Story::~Story() {
    vulcatDestroyTextStream(stream_);
    vulcatDestroySession(session_);
    vulcatDestroyModel(model_);
    vulcatDestroyContext(context_);
}

void Story::require(VulcatResult result, const char* what) const {
    if (result != VULCAT_SUCCESS) throw std::runtime_error(std::string(what) + ": " + vulcatContextErrorText(context_));
}

void Story::begin(const std::string& prompt, uint64_t seed) {
    prompt_ = prompt;
    text_ = prompt;
    const char* rest = nullptr;  // half a character of the story before
    size_t restBytes = 0;
    require(vulcatTextStreamFlush(stream_, &rest, &restBytes), "a new story");
    seed_ = seed;
    VulcatSampling sampling{};
    sampling.structSize = sizeof sampling;
    sampling.temperature = 0.7f;
    sampling.seed = seed;
    require(vulcatSessionReset(session_), "a new story");
    require(vulcatSessionSetSampling(session_, &sampling), "a new story");
    size_t count = 0;
    require(vulcatTokenize(model_, prompt.data(), prompt.size(), 1, nullptr, &count), "the prompt");
    std::vector<int32_t> tokens(count);
    require(vulcatTokenize(model_, prompt.data(), prompt.size(), 1, tokens.data(), &count), "the prompt");
    require(vulcatSessionQueue(session_, tokens.data(), count), "the prompt");
}

void Story::take(int32_t token) {
    ++tokens_;
    const char* piece = nullptr;
    size_t bytes = 0;
    require(vulcatTextStreamPush(stream_, token, &piece, &bytes), "the text");
    text_.append(piece, bytes);
}

void Story::step(uint32_t budgetUs) {
    VulcatStep step{};
    step.structSize = sizeof step;
    require(vulcatSessionStep(session_, budgetUs, &step), "a step");
    if (!step.done) return;  // the next frame goes on with this token
    int32_t token = 0;
    require(vulcatSessionSample(session_, &token), "the next token");
    if (vulcatModelEndsText(model_, token) || vulcatSessionPosition(session_) == vulcatSessionContextLength(session_)) {
        begin(prompt_, seed_ + 1);
        return;
    }
    take(token);
    require(vulcatSessionQueue(session_, &token, 1), "the next token");
}
