#include "api/handles.h"

#include <span>
#include <string_view>

using namespace vulcat;

model::SessionOptions api::sessionOptions(const VulcatSessionInfo* info, const char* name) {
    model::SessionOptions options;
    if (info == nullptr) return options;
    const VulcatSessionInfo known = readStruct(info, name);
    options.contextLength = known.contextLength;
    options.chunkRows = known.chunkRows;
    return options;
}

VulcatSession_T::VulcatSession_T(VulcatModel of, const model::SessionOptions& wanted)
    : context(of->context), model(of), options(wanted), listed(of->context->sessions, this) {}

void VulcatSession_T::open() {
    session.emplace(api::present(model->decoder), options);
    stepper.emplace(*session, *context->costs);
    if (!generator) generator.emplace(*session, model->tokenizer);
    session->replay(remembered);
    remembered = {};
}

void VulcatSession_T::close() {
    if (!session) return;
    remembered = session->history();
    stepper.reset();
    session.reset();
}

void VulcatSession_T::finishQueue() {
    api::present(session);
    if (stepper->idle()) return;
    stepper->step(std::chrono::nanoseconds(0), model::StepMode::Balance);
    generator->accept(stepper->takeLogits());
}

model::Generator& VulcatSession_T::settled() {
    finishQueue();
    return *generator;
}

VulcatResult vulcatCreateSession(VulcatModel model, const VulcatSessionInfo* info, VulcatSession* session) {
    return api::guardHandle(model, [&] {
        api::requireArgument(session != nullptr, "session must not be NULL");
        auto made = std::make_unique<VulcatSession_T>(model, api::sessionOptions(info, "info"));
        const layers::Engine engine = model->context->engine();
        const model::ModelPlan plan = model::planSession(engine, api::present(model->decoder).config(), made->options);
        model::requireMemory(plan, plan.sessionBytes(), "the session");
        made->open();
        *session = made.release();
    });
}

void vulcatDestroySession(VulcatSession session) {
    delete session;
}

uint32_t vulcatSessionPosition(VulcatSession session) {
    if (session == nullptr) return 0;
    if (!session->session) return static_cast<uint32_t>(session->remembered.tokens.size());
    return session->session->position();
}

uint32_t vulcatSessionContextLength(VulcatSession session) {
    return session == nullptr || !session->session ? 0 : session->session->contextLength();
}

VulcatResult vulcatSessionAppend(VulcatSession session, const int32_t* tokens, size_t count) {
    return api::guardHandle(session, [&] {
        api::requireArgument(tokens != nullptr, "tokens must not be NULL");
        session->settled().append(std::span<const int32_t>(tokens, count));
    });
}

VulcatResult vulcatSessionQueue(VulcatSession session, const int32_t* tokens, size_t count) {
    return api::guardHandle(session, [&] {
        api::requireArgument(tokens != nullptr, "tokens must not be NULL");
        api::present(session->session);
        session->stepper->queue(std::span<const int32_t>(tokens, count));
    });
}

VulcatResult vulcatSessionStep(VulcatSession session, uint32_t budgetUs, VulcatStep* step) {
    return api::guardHandle(session, [&] {
        api::present(session->session);
        model::Stepper& stepper = *session->stepper;
        const bool idle = stepper.idle();
        const VulcatMode mode = session->context->mode;
        const model::StepReport report =
            stepper.step(std::chrono::microseconds(budgetUs), mode == VULCAT_MODE_GRAPHICS  ? model::StepMode::Graphics
                                                              : mode == VULCAT_MODE_COMPUTE ? model::StepMode::Compute
                                                                                            : model::StepMode::Balance);
        if (!idle && report.done) session->generator->accept(stepper.takeLogits());
        if (step == nullptr) return;
        VulcatStep known{};
        known.done = report.done ? 1 : 0;
        known.progress = report.progress;
        known.slices = report.slices;
        known.dispatches = report.dispatches;
        known.gpuUs = static_cast<uint32_t>(report.deviceNs / 1000);
        known.longestSliceUs = static_cast<uint32_t>(report.longestNs / 1000);
        known.overBudget = report.overBudget;
        api::writeStruct(known, step, "step");
    });
}

VulcatResult vulcatSessionLogits(VulcatSession session, float* logits, size_t count) {
    return api::guardHandle(session, [&] {
        api::requireArgument(logits != nullptr, "logits must not be NULL");
        const std::span<const float> row = session->settled().logits();
        api::requireArgument(count >= row.size(), "logits has less room than vocabularySize");
        std::copy(row.begin(), row.end(), logits);
    });
}

VulcatResult vulcatSessionSetSampling(VulcatSession session, const VulcatSampling* sampling) {
    return api::guardHandle(session, [&] {
        model::SamplingOptions options;
        if (sampling != nullptr) {
            const VulcatSampling known = api::readStruct(sampling, "sampling");
            options.temperature = known.temperature;
            options.topK = known.topK;
            options.topP = known.topP == 0.0f ? 1.0f : known.topP;
            options.seed = known.seed;
        }
        session->generator->setSampling(options);
    });
}

VulcatResult vulcatSessionSample(VulcatSession session, int32_t* token) {
    return api::guardHandle(session, [&] {
        api::requireArgument(token != nullptr, "token must not be NULL");
        *token = session->settled().sample();
    });
}

VulcatResult vulcatSessionReset(VulcatSession session) {
    return vulcatSessionTruncate(session, 0);
}

VulcatResult vulcatSessionTruncate(VulcatSession session, uint32_t position) {
    return api::guardHandle(session, [&] {
        api::present(session->session);
        session->stepper->cancel();
        session->generator->truncate(position);
    });
}

VulcatResult vulcatSessionSave(VulcatSession session, void* data, size_t* bytes) {
    return api::guardHandle(session, [&] {
        api::requireArgument(bytes != nullptr, "bytes must not be NULL");
        model::Generator& generator = session->settled();
        const std::span<const float> logits = generator.hasLogits() ? generator.logits() : std::span<const float>();
        if (data == nullptr) {
            *bytes = model::stateBytes(*session->session, logits.size());
            return;
        }
        const std::vector<std::byte> state = model::saveSession(*session->session, logits);
        api::copyOut(state.data(), state.size(), static_cast<std::byte*>(data), bytes, "data");
    });
}

VulcatResult vulcatSessionRestore(VulcatSession session, const void* data, size_t bytes) {
    return api::guardHandle(session, [&] {
        api::requireArgument(data != nullptr, "data must not be NULL");
        api::present(session->session);
        session->stepper->cancel();
        std::vector<float> logits =
            model::restoreSession(*session->session, {static_cast<const std::byte*>(data), bytes});
        session->generator->restored(std::move(logits));
    });
}

VulcatResult vulcatGenerate(VulcatSession session, const VulcatGenerateInfo* info, uint32_t* generatedTokens) {
    return api::guardHandle(session, [&] {
        const VulcatGenerateInfo known = api::readStruct(info, "info");
        api::requireArgument(known.prompt != nullptr || known.promptBytes == 0, "info.prompt must not be NULL");
        model::Generator& generator = session->settled();
        generator.appendText(std::string_view(known.prompt, known.promptBytes));
        model::TextCallback text;
        if (known.text != nullptr) {
            text = [&known](std::string_view piece) {
                const std::string terminated(piece);
                return known.text(known.userData, terminated.c_str(), terminated.size()) == 0;
            };
        }
        const uint32_t made = generator.generate(known.maxTokens, text);
        if (generatedTokens != nullptr) *generatedTokens = made;
    });
}
