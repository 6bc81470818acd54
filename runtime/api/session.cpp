#include "api/handles.h"

#include <span>
#include <string_view>

using namespace vulcat;

VulcatResult vulcatCreateSession(VulcatModel model, const VulcatSessionInfo* info, VulcatSession* session) {
    return api::guardHandle(model, [&] {
        api::requireArgument(session != nullptr, "session must not be NULL");
        model::SessionOptions options;
        if (info != nullptr) {
            const VulcatSessionInfo known = api::readStruct(info, "info");
            options.contextLength = known.contextLength;
            options.chunkRows = known.chunkRows;
        }
        *session = new VulcatSession_T(model, options);
    });
}

void vulcatDestroySession(VulcatSession session) {
    delete session;
}

uint32_t vulcatSessionPosition(VulcatSession session) {
    return session == nullptr ? 0 : session->session.position();
}

uint32_t vulcatSessionContextLength(VulcatSession session) {
    return session == nullptr ? 0 : session->session.contextLength();
}

VulcatResult vulcatSessionAppend(VulcatSession session, const int32_t* tokens, size_t count) {
    return api::guardHandle(session, [&] {
        api::requireArgument(tokens != nullptr, "tokens must not be NULL");
        session->generator.append(std::span<const int32_t>(tokens, count));
    });
}

VulcatResult vulcatSessionLogits(VulcatSession session, float* logits, size_t count) {
    return api::guardHandle(session, [&] {
        api::requireArgument(logits != nullptr, "logits must not be NULL");
        const std::span<const float> row = session->generator.logits();
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
        session->generator.setSampling(options);
    });
}

VulcatResult vulcatSessionSample(VulcatSession session, int32_t* token) {
    return api::guardHandle(session, [&] {
        api::requireArgument(token != nullptr, "token must not be NULL");
        *token = session->generator.sample();
    });
}

VulcatResult vulcatSessionReset(VulcatSession session) {
    return api::guardHandle(session, [&] { session->generator.reset(); });
}

VulcatResult vulcatSessionTruncate(VulcatSession session, uint32_t position) {
    return api::guardHandle(session, [&] { session->generator.truncate(position); });
}

VulcatResult vulcatGenerate(VulcatSession session, const VulcatGenerateInfo* info, uint32_t* generatedTokens) {
    return api::guardHandle(session, [&] {
        const VulcatGenerateInfo known = api::readStruct(info, "info");
        api::requireArgument(known.prompt != nullptr || known.promptBytes == 0, "info.prompt must not be NULL");
        session->generator.appendText(std::string_view(known.prompt, known.promptBytes));
        model::TextCallback text;
        if (known.text != nullptr) {
            text = [&known](std::string_view piece) {
                const std::string terminated(piece);
                return known.text(known.userData, terminated.c_str(), terminated.size()) == 0;
            };
        }
        const uint32_t made = session->generator.generate(known.maxTokens, text);
        if (generatedTokens != nullptr) *generatedTokens = made;
    });
}
