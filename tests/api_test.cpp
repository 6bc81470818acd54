// The C interface as a program sees it.
#include "vulcat.hpp"

#include "support/api_struct.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>


#include <cmath>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

extern "C" int vulcatTestC99(const char* folder, const char* prompt, int tokens, char* story, size_t room, char* error,
                             size_t errorRoom);
void tellStory(const std::string& folder, std::ostream& out);

using vulcat::Failure;

namespace {

/// A context with validation whose warnings and errors are counted.
struct Checked {
    int problems = 0;
    std::string log;
    VulcatContext context = nullptr;

    Checked() {
        auto info = vulcat::test::sized<VulcatContextInfo>();
        char error[256] = "";
        info.enableValidation = 1;
        info.userData = this;
        info.errorText = error;
        info.errorTextSize = sizeof error;
        info.log = [](void* self, VulcatLogLevel level, const char* message) {
            auto& checked = *static_cast<Checked*>(self);
            if (level >= VULCAT_LOG_WARNING) ++checked.problems;
            checked.log += message;
            checked.log += '\n';
        };
        const VulcatResult result = vulcatCreateContext(&info, &context);
        REQUIRE_MESSAGE(result == VULCAT_SUCCESS, error);
    }
    ~Checked() {
        vulcatDestroyContext(context);
        CHECK_MESSAGE(problems == 0, log);
    }
};

}  // namespace

// First, so that from here on drivers stay loaded.
TEST_CASE("bad arguments are answered with a code and the field's name") {
    Checked checked;
    auto info = vulcat::test::sized<VulcatModelInfo>();
    VulcatModel model = nullptr;
    CHECK(vulcatLoadModel(nullptr, &info, &model) == VULCAT_ERROR_INVALID_ARGUMENT);
    CHECK(vulcatLoadModel(checked.context, nullptr, &model) == VULCAT_ERROR_INVALID_ARGUMENT);
    CHECK(std::string(vulcatContextErrorText(checked.context)) == "info must not be NULL");
    CHECK(vulcatLoadModel(checked.context, &info, &model) == VULCAT_ERROR_INVALID_ARGUMENT);
    CHECK(std::string(vulcatContextErrorText(checked.context)).find("info.folder") != std::string::npos);
    info.structSize = 0;
    CHECK(vulcatLoadModel(checked.context, &info, &model) == VULCAT_ERROR_INVALID_ARGUMENT);
    CHECK(std::string(vulcatContextErrorText(checked.context)).find("structSize") != std::string::npos);

    vulcat::test::TempFolder empty;
    const std::string folder = empty.path().string();
    info = vulcat::test::sized<VulcatModelInfo>();
    info.folder = folder.c_str();
    CHECK(vulcatLoadModel(checked.context, &info, &model) == VULCAT_ERROR_INVALID_FILE);
    CHECK(model == nullptr);

    // A struct of a newer header: what it adds must be zero.
    struct {
        VulcatModelInfo known;
        uint64_t unknown;
    } newer{};
    newer.known.structSize = sizeof newer;
    newer.known.folder = folder.c_str();
    CHECK(vulcatLoadModel(checked.context, &newer.known, &model) == VULCAT_ERROR_INVALID_FILE);
    newer.unknown = 1;
    CHECK(vulcatLoadModel(checked.context, &newer.known, &model) == VULCAT_ERROR_UNSUPPORTED);

    vulcatDestroyModel(nullptr);
    vulcatDestroySession(nullptr);
    vulcatDestroyTextStream(nullptr);
    vulcatDestroyContext(nullptr);
    CHECK(vulcatSessionPosition(nullptr) == 0);
    CHECK(std::string(vulcatContextErrorText(nullptr)).empty());
    CHECK(std::string(vulcatResultText(VULCAT_ERROR_DEVICE_LOST)) == "device lost");
    CHECK(vulcatVersion() == ((VULCAT_VERSION_MAJOR << 22) | (VULCAT_VERSION_MINOR << 12) | VULCAT_VERSION_PATCH));
}

TEST_CASE("the C99 program and the README's example tell the same story") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    char story[4096], error[256] = "";
    const int line = vulcatTestC99(folder.c_str(), "Once upon a time", 40, story, sizeof story, error, sizeof error);
    CHECK_MESSAGE(line == 0, "api_c99.c:", line, ": ", error);
    std::ostringstream told;
    tellStory(folder.string(), told);
    CHECK(told.str() == story);
    CHECK(told.str().substr(0, 12) == ", there was ");
}

TEST_CASE("a session generates, stops, samples by seed, truncates and resets") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    vulcat::Context context;
    CHECK(!context.deviceName().empty());
    vulcat::Model model(context, folder.string());
    CHECK(model.properties().vocabularySize == 512);
    CHECK(model.properties().bosToken == 1);
    CHECK(model.detokenize(model.tokenize("Lily has a dog.", true)) == "Lily has a dog.");

    vulcat::Session session(model, 64);
    const auto story = [&](float temperature, uint64_t seed) {
        session.reset();
        session.setSampling(temperature, 0, 0.9f, seed);
        std::string text;
        session.generate("", 30, [&](std::string_view piece) { text += piece; });
        return text;
    };
    const std::string greedy = story(0, 0);
    CHECK(greedy.substr(0, 16) == "Once upon a time");
    CHECK(story(1, 7) == story(1, 7));
    CHECK(story(1, 7) != story(1, 8));
    CHECK(story(0, 9) == greedy);

    session.reset();
    session.append(model.tokenize("Once upon a time, there", true));
    const auto row = session.logits();
    const uint32_t position = session.position();
    session.append({300, 301});
    session.truncate(position - 1);
    CHECK_THROWS_WITH_AS(session.sample(), doctest::Contains("append"), Failure);
    session.append({model.tokenize("Once upon a time, there", true).back()});
    const auto again = session.logits();
    float worst = 0;
    for (size_t i = 0; i < row.size(); ++i) worst = std::max(worst, std::fabs(row[i] - again[i]));
    CHECK(worst < 1e-4f);

    // The callback's exception comes through, and a full context ends a generation.
    session.reset();
    CHECK_THROWS_AS(session.generate("Tim", 30, [](std::string_view) { throw std::string("stop"); }), std::string);
    session.reset();
    const uint32_t made = session.generate("Tim", 0, [](std::string_view) {});
    CHECK(made > 40);
    CHECK(session.position() <= 64);
}

TEST_CASE("a device that is not there is refused with a reason, and the chosen one is described") {
    CHECK_THROWS_WITH_AS(vulcat::Context("no such device"), doctest::Contains("no such device"), Failure);
    try {
        vulcat::Context context("99");
        FAIL("device 99 was opened");
    } catch (const Failure& failure) {
        CHECK(failure.code() == VULCAT_ERROR_NO_DEVICE);
    }
    Checked checked;
    auto device = vulcat::test::sized<VulcatDeviceInfo>();
    CHECK(vulcatContextDevice(checked.context, &device) == VULCAT_SUCCESS);
    CHECK(std::strlen(device.name) > 0);
    CHECK(std::strlen(device.uuid) == 36);
    CHECK(device.memoryBytes > 0);
    CHECK(checked.log.find(device.name) != std::string::npos);
}

TEST_CASE("the C interface is silent under validation") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    Checked checked;
    auto info = vulcat::test::sized<VulcatModelInfo>();
    const std::string path = folder.string();
    info.folder = path.c_str();
    int cancelAfter = 2;
    info.userData = &cancelAfter;
    info.progress = [](void* left, uint64_t, uint64_t, const char*) { return --*static_cast<int*>(left) < 0 ? 1 : 0; };
    VulcatModel model = nullptr;
    CHECK(vulcatLoadModel(checked.context, &info, &model) == VULCAT_ERROR_CANCELLED);
    info.progress = nullptr;
    REQUIRE(vulcatLoadModel(checked.context, &info, &model) == VULCAT_SUCCESS);
    VulcatSession session = nullptr;
    REQUIRE(vulcatCreateSession(model, nullptr, &session) == VULCAT_SUCCESS);
    auto generate = vulcat::test::sized<VulcatGenerateInfo>();
    generate.maxTokens = 5;
    uint32_t made = 0;
    CHECK(vulcatGenerate(session, &generate, &made) == VULCAT_SUCCESS);
    CHECK(made == 5);
    vulcatDestroySession(session);
    vulcatDestroyModel(model);
}
