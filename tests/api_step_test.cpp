// Stepping within a budget, saving and restoring, and making everything again: always the same tokens.
#include "vulcat.hpp"

#include "model_folder.h"
#include "support/api_struct.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "support/tokenizer_json.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

void good(VulcatContext context, VulcatResult result) {
    const std::string text = result == VULCAT_SUCCESS ? "" : vulcatContextErrorText(context);
    REQUIRE_MESSAGE(result == VULCAT_SUCCESS, text);
}

struct Slices {
    uint64_t steps = 0, slices = 0, over = 0, dispatches = 0;
    uint32_t longestUs = 0;
};

/// Queues tokens and steps until they are appended.
void stepThrough(VulcatContext context, VulcatSession session, const std::vector<int32_t>& tokens, uint32_t budgetUs,
                 Slices& slices) {
    good(context, vulcatSessionQueue(session, tokens.data(), tokens.size()));
    auto step = vulcat::test::sized<VulcatStep>();
    float progress = 0;
    while (step.done == 0) {
        good(context, vulcatSessionStep(session, budgetUs, &step));
        ++slices.steps;
        // A frame goes by: in graphics mode the slice is still running.
        if (step.slices == 0 && step.done == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        slices.slices += step.slices;
        slices.over += step.overBudget;
        slices.dispatches += step.dispatches;
        slices.longestUs = std::max(slices.longestUs, step.longestSliceUs);
        CHECK(step.progress >= progress);
        progress = step.progress;
    }
    CHECK(progress == 1.0f);
}

/// Greedy tokens after a prompt, with the logits of each as part of the comparison.
struct Told {
    std::vector<int32_t> tokens;
    std::vector<float> logits;
    bool operator==(const Told&) const = default;
};

template <class Append>
Told tell(VulcatContext context, VulcatSession session, uint32_t vocabulary, const std::vector<int32_t>& prompt,
          int count, const Append& append) {
    Told told;
    good(context, vulcatSessionReset(session));
    append(prompt);
    for (int i = 0; i < count; ++i) {
        int32_t token = 0;
        good(context, vulcatSessionSample(session, &token));
        told.tokens.push_back(token);
        append({token});
        std::vector<float> row(vocabulary);
        good(context, vulcatSessionLogits(session, row.data(), row.size()));
        told.logits.insert(told.logits.end(), row.begin(), row.end());
    }
    return told;
}

std::vector<int32_t> promptOf(int count, int vocabulary) {
    std::vector<int32_t> prompt;
    for (int i = 0; i < count; ++i) prompt.push_back((i * 37 + 5) % vocabulary);
    return prompt;
}

}  // namespace

TEST_CASE("slices of any budget in any mode give the tokens and logits of unsliced passes, bit for bit") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    const char* longRun = std::getenv("VULCAT_TEST_LONG");
    const int count = longRun != nullptr ? 250 : 12;
    vulcat::Context context;
    vulcat::Model model(context, folder.string());
    vulcat::Session session(model, 400);
    const uint32_t vocabulary = model.properties().vocabularySize;
    const std::vector<int32_t> prompt = model.tokenize("Once upon a time, there was a little dog named Tim.", true);
    const VulcatSession handle = session.handle();
    const Told whole = tell(context.handle(), handle, vocabulary, prompt, count, [&](const std::vector<int32_t>& t) {
        good(context.handle(), vulcatSessionAppend(handle, t.data(), t.size()));
    });
    for (const VulcatMode mode : {VULCAT_MODE_BALANCE, VULCAT_MODE_GRAPHICS, VULCAT_MODE_COMPUTE}) {
        good(context.handle(), vulcatSetMode(context.handle(), mode));
        for (const uint32_t budgetUs : {100u, 1000u, 2000u, 5000u, 20000u, 0u}) {
            Slices slices;
            const Told sliced = tell(
                context.handle(), handle, vocabulary, prompt, count,
                [&](const std::vector<int32_t>& t) { stepThrough(context.handle(), handle, t, budgetUs, slices); });
            CHECK(sliced == whole);
            const double within =
                100.0 * static_cast<double>(slices.slices - slices.over) / static_cast<double>(slices.slices);
            std::printf("mode %d, budget %5u us: %6llu steps, %6llu slices, %.1f %% within, longest %u us\n",
                        static_cast<int>(mode), budgetUs, static_cast<unsigned long long>(slices.steps),
                        static_cast<unsigned long long>(slices.slices), within, slices.longestUs);
        }
    }
}

TEST_CASE("queued tokens can be dropped and refused, and whatever needs their end waits for it") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    vulcat::Context context;
    vulcat::Model model(context, folder.string());
    vulcat::Session session(model, 16);
    const VulcatSession handle = session.handle();
    const std::vector<int32_t> tokens = promptOf(10, 512);
    good(context.handle(), vulcatSessionQueue(handle, tokens.data(), 10));
    CHECK(vulcatSessionQueue(handle, tokens.data(), 7) == VULCAT_ERROR_INVALID_ARGUMENT);
    const int32_t wrong = 512;
    CHECK(vulcatSessionQueue(handle, &wrong, 1) == VULCAT_ERROR_INVALID_ARGUMENT);
    good(context.handle(), vulcatSessionQueue(handle, tokens.data(), 2));
    good(context.handle(), vulcatSetMode(context.handle(), VULCAT_MODE_GRAPHICS));
    good(context.handle(), vulcatSessionStep(handle, 50, nullptr));
    const std::vector<float> row = session.logits();  // runs the rest
    CHECK(session.position() == 12);
    good(context.handle(), vulcatSessionQueue(handle, tokens.data(), 4));
    good(context.handle(), vulcatSessionStep(handle, 50, nullptr));
    session.truncate(12);
    CHECK(session.position() == 12);
    session.reset();
    session.append(std::vector<int32_t>(tokens.begin(), tokens.begin() + 10));
    session.append({tokens[0], tokens[1]});
    CHECK(session.logits() == row);
    auto step = vulcat::test::sized<VulcatStep>();
    good(context.handle(), vulcatSessionStep(handle, 50, &step));
    CHECK(step.done == 1);
    CHECK(step.slices == 0);
}

TEST_CASE("a session is saved, restored in another one, and refuses damaged bytes") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    vulcat::Context context;
    vulcat::Model model(context, folder.string());
    vulcat::Session first(model, 64);
    vulcat::Session second(model, 64);
    first.append(model.tokenize("Lily and Tom went to the", true));
    const int32_t next = first.sample();
    const std::vector<unsigned char> state = first.save();
    second.restore(state);
    CHECK(second.position() == first.position());
    CHECK(second.sample() == next);
    first.append({next});
    second.append({next});
    CHECK(first.logits() == second.logits());

    for (size_t at : {size_t{0}, size_t{9}, size_t{30}, size_t{45}, state.size() - 1}) {
        std::vector<unsigned char> damaged = state;
        damaged[at] ^= 1;
        CHECK(vulcatSessionRestore(second.handle(), damaged.data(), damaged.size()) == VULCAT_ERROR_INVALID_FILE);
    }
    CHECK(vulcatSessionRestore(second.handle(), state.data(), state.size() - 1) == VULCAT_ERROR_INVALID_FILE);
    CHECK(vulcatSessionRestore(second.handle(), state.data(), 3) == VULCAT_ERROR_INVALID_FILE);
    CHECK(second.logits() == first.logits());
    vulcat::Session small(model, 4);
    CHECK(vulcatSessionRestore(small.handle(), state.data(), state.size()) == VULCAT_ERROR_INVALID_ARGUMENT);
    // A branch: back to the prompt, another way.
    second.truncate(3);
    first.restore(second.save());
    CHECK(first.position() == 3);
    CHECK_THROWS_AS(first.sample(), vulcat::Failure);
    for (vulcat::Session* each : {&first, &second}) {
        each->queue({7, 8});
        while (each->step(1000).done == 0) {
        }
    }
    CHECK(first.logits() == second.logits());
}

TEST_CASE("a state of long passes goes on in a session of short ones, and when that is made again") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    vulcat::Context context;
    vulcat::Model model(context, folder.string());
    vulcat::Session first(model, 64);
    first.append(model.tokenize("Lily and Tom went to the park to play with", true));
    REQUIRE(first.position() > 8);
    const int32_t next = first.sample();
    auto info = vulcat::test::sized<VulcatSessionInfo>();
    info.contextLength = 64;
    info.chunkRows = 4;
    VulcatSession small = nullptr;
    good(context.handle(), vulcatCreateSession(model.handle(), &info, &small));
    const std::vector<unsigned char> state = first.save();
    good(context.handle(), vulcatSessionRestore(small, state.data(), state.size()));
    for (int i = 0; i < 2; ++i) {
        CHECK(vulcatSessionPosition(small) == first.position());
        int32_t token = -1;
        good(context.handle(), vulcatSessionSample(small, &token));
        CHECK(token == next);
        // Its history holds the long pass, which runs anew in pieces.
        context.recreate();
    }
    vulcatDestroySession(small);
}

TEST_CASE("after recreate the same tokens follow") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    vulcat::Context context;
    vulcat::Model model(context, folder.string());
    vulcat::Session session(model, 128);
    vulcat::Session untouched(model, 128);
    const auto prompt = model.tokenize("Once upon a time", true);
    const auto follow = [&](vulcat::Session& from, int count) {
        std::vector<int32_t> tokens;
        for (int i = 0; i < count; ++i) {
            tokens.push_back(from.sample());
            from.append({tokens.back()});
        }
        return tokens;
    };
    session.setSampling(1.0f, 0, 0.9f, 3);
    untouched.setSampling(1.0f, 0, 0.9f, 3);
    for (vulcat::Session* each : {&session, &untouched}) each->append(prompt);
    const auto expectedBefore = follow(untouched, 10);
    const auto expectedAfter = follow(untouched, 10);
    CHECK(follow(session, 10) == expectedBefore);

    const int32_t half[] = {1, 2, 3};
    good(context.handle(), vulcatSessionQueue(session.handle(), half, 3));
    good(context.handle(), vulcatSessionStep(session.handle(), 1, nullptr));
    auto host = vulcat::test::sized<VulcatHostDevice>();
    CHECK(vulcatRecreate(context.handle(), &host) == VULCAT_ERROR_INVALID_ARGUMENT);
    context.recreate();
    CHECK(session.position() == prompt.size() + 10);
    CHECK(follow(session, 10) == expectedAfter);
}

namespace {

/// Loads the folder in a context of its own, checks that it took what the plan told, and returns the plan.
VulcatModelPlan takesWhatIsPlanned(const VulcatModelInfo& modelInfo, const VulcatSessionInfo& sessionInfo) {
    auto plan = vulcat::test::sized<VulcatModelPlan>();
    auto device = vulcat::test::sized<VulcatDeviceInfo>();
    vulcat::Context context;
    good(context.handle(), vulcatPlanModel(context.handle(), &modelInfo, &sessionInfo, &plan));
    CHECK(plan.contextLength == sessionInfo.contextLength);
    CHECK(plan.chunkRows == sessionInfo.chunkRows);
    CHECK(plan.fits != 0);
    good(context.handle(), vulcatContextDevice(context.handle(), &device));
    CHECK(device.usedBytes == 0);
    vulcat::Model model(context, modelInfo.folder);
    good(context.handle(), vulcatContextDevice(context.handle(), &device));
    const uint64_t modelBytes = device.usedBytes;
    VulcatSession session = nullptr;
    good(context.handle(), vulcatCreateSession(model.handle(), &sessionInfo, &session));
    good(context.handle(), vulcatContextDevice(context.handle(), &device));
    std::printf("planned %llu + %llu bytes, took %llu + %llu\n",
                static_cast<unsigned long long>(plan.weightsBytes + plan.vocabularyBytes),
                static_cast<unsigned long long>(plan.cacheBytes + plan.activationsBytes),
                static_cast<unsigned long long>(modelBytes),
                static_cast<unsigned long long>(device.usedBytes - modelBytes));
    // Drivers round each allocation up to their alignment.
    CHECK(modelBytes >= plan.weightsBytes + plan.vocabularyBytes);
    CHECK(modelBytes <= plan.weightsBytes + plan.vocabularyBytes + 65536);
    CHECK(device.usedBytes - modelBytes >= plan.cacheBytes + plan.activationsBytes);
    CHECK(device.usedBytes - modelBytes <= plan.cacheBytes + plan.activationsBytes + 3 * 65536);
    vulcatDestroySession(session);
    return plan;
}

}  // namespace

TEST_CASE("a plan tells what loading takes, and a budget is kept or refused with the numbers") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    const std::string path = folder.string();
    auto modelInfo = vulcat::test::sized<VulcatModelInfo>();
    modelInfo.folder = path.c_str();
    auto sessionInfo = vulcat::test::sized<VulcatSessionInfo>();
    sessionInfo.contextLength = 100;
    sessionInfo.chunkRows = 32;
    VulcatModelPlan plan = takesWhatIsPlanned(modelInfo, sessionInfo);
    auto info = vulcat::test::sized<VulcatContextInfo>();
    info.memoryBudgetBytes = plan.weightsBytes + plan.vocabularyBytes - 1;
    VulcatContext tight = nullptr;
    REQUIRE(vulcatCreateContext(&info, &tight) == VULCAT_SUCCESS);
    good(tight, vulcatPlanModel(tight, &modelInfo, &sessionInfo, &plan));
    CHECK(plan.fits == 0);
    CHECK(plan.availableBytes == info.memoryBudgetBytes);
    VulcatModel model = nullptr;
    CHECK(vulcatLoadModel(tight, &modelInfo, &model) == VULCAT_ERROR_OUT_OF_MEMORY);
    const std::string message = vulcatContextErrorText(tight);
    CHECK(message.find(std::to_string(plan.availableBytes)) != std::string::npos);
    CHECK(message.find(std::to_string(plan.cacheBytes)) != std::string::npos);
    vulcatDestroyContext(tight);
}

TEST_CASE("a plan knows a quantised output layer, whether the embedding is tied to it or not") {
    for (const bool tied : {true, false}) {
        vulcat::test::ModelRecipe recipe;
        recipe.weightBits = 4;
        recipe.activationBits = 8;
        recipe.transform = vulcat::test::RandomTransform::Blocks;
        recipe.quantisedHead = true;
        recipe.vocabulary = 20000;
        recipe.tied = tied;
        vulcat::test::TempFolder folder;
        vulcat::test::writeModelFolder(folder.path(), recipe);
        vulcat::test::writeFile(folder.path() / "tokenizer.json", vulcat::test::byteLevelJson().dump());
        const std::string path = folder.path().string();
        auto modelInfo = vulcat::test::sized<VulcatModelInfo>();
        modelInfo.folder = path.c_str();
        auto sessionInfo = vulcat::test::sized<VulcatSessionInfo>();
        sessionInfo.contextLength = 64;
        sessionInfo.chunkRows = 16;
        const VulcatModelPlan plan = takesWhatIsPlanned(modelInfo, sessionInfo);
        const auto tableBytes = static_cast<uint64_t>(recipe.vocabulary) * 48;
        CHECK(plan.vocabularyBytes > tableBytes * 4 + tableBytes / 2);  // floats of the embedding, codes of the head
        CHECK(plan.vocabularyBytes < tableBytes * 8);                   // floats of both

        VulcatLinearInfo info{};
        info.folder = path.c_str();
        info.site = "lm_head";
        const vulcat::Context context;
        const VulcatLinearProperties linear = vulcat::Linear(context, info).properties();
        CHECK(linear.inputs == 48);
        CHECK(linear.outputs == 20000);
    }
}

TEST_CASE("what was learned about times survives as a blob, and foreign blobs are passed over") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    std::vector<unsigned char> blob;
    const auto open = [&](const std::vector<unsigned char>& tuning) {
        auto info = vulcat::test::sized<VulcatContextInfo>();
        info.tuning = tuning.empty() ? nullptr : tuning.data();
        info.tuningBytes = tuning.size();
        VulcatContext context = nullptr;
        REQUIRE(vulcatCreateContext(&info, &context) == VULCAT_SUCCESS);
        return context;
    };
    const auto blobOf = [](VulcatContext context) {
        size_t bytes = 0;
        good(context, vulcatContextBlob(context, VULCAT_BLOB_TUNING, nullptr, &bytes));
        std::vector<unsigned char> data(bytes);
        good(context, vulcatContextBlob(context, VULCAT_BLOB_TUNING, data.data(), &bytes));
        return data;
    };
    VulcatContext context = open({});
    const size_t empty = blobOf(context).size();
    auto modelInfo = vulcat::test::sized<VulcatModelInfo>();
    const std::string path = folder.string();
    modelInfo.folder = path.c_str();
    VulcatModel model = nullptr;
    good(context, vulcatLoadModel(context, &modelInfo, &model));
    VulcatSession session = nullptr;
    good(context, vulcatCreateSession(model, nullptr, &session));
    Slices slices;
    stepThrough(context, session, {1, 5, 9}, 500, slices);
    blob = blobOf(context);
    CHECK(blob.size() > empty);
    vulcatDestroySession(session);
    vulcatDestroyModel(model);
    vulcatDestroyContext(context);

    context = open(blob);
    CHECK(blobOf(context).size() == blob.size());
    vulcatDestroyContext(context);
    blob.back() = static_cast<unsigned char>(blob.back() ^ 1);
    context = open(blob);
    CHECK(blobOf(context).size() == empty);
    vulcatDestroyContext(context);
}
