// Calibrating a small random model from end to end: bytes that never depend on threads, kills or stops; folders that
// are never damaged; input that is refused with a sentence that names it.

#include "calibrate/calibrate.h"
#include "calibrate/decoder.h"
#include "calibrate/estimate.h"
#include "calibrate/evaluate.h"

#include "base/error.h"

#include "calibrate_workshop.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

using namespace vulcat;
using namespace vulcat::calibrate;
using test::bytesOf;
using test::FolderBytes;
using test::inChild;
using test::Workshop;
namespace fs = std::filesystem;

namespace {

/// The error of calibrating, which must come, with its code checked.
std::string refusal(const CalibrateOptions& options, Result code) {
    try {
        calibrate::calibrate(options);
    } catch (const Error& error) {
        CHECK(error.code() == code);
        return error.what();
    }
    FAIL("calibration was not refused");
    return {};
}

bool mentions(const std::string& message, const std::string& part) {
    const bool found = message.find(part) != std::string::npos;
    if (!found) MESSAGE("'" << message << "' does not mention '" << part << "'");
    return found;
}

}  // namespace

TEST_CASE("bake: the finished folder holds a model that runs, its recipe, its report, and the tokenizer") {
    Workshop shop;
    const Report report = calibrate::calibrate(shop.options);
    const fs::path out = shop.options.outDir;
    CHECK(report.sites.size() == 12);
    CHECK_FALSE(report.resumed);
    CHECK_FALSE(fs::exists(shop.temp / "out.partial"));
    CHECK(test::readFile(out / "tokenizer.json") == test::readFile(shop.options.modelDir / "tokenizer.json"));
    const auto config = nlohmann::ordered_json::parse(test::readFile(out / "config.json"));
    CHECK(config["quantization_config"]["quant_method"] == "vulcat");
    CHECK(config["quantization_config"]["sites"].size() == 12);
    const auto stored = nlohmann::ordered_json::parse(test::readFile(out / "calibration_report.json"));
    const Report again = reportFromJson(stored, "report");
    CHECK(toJson(again) == stored);
    CHECK(again.fingerprint == report.fingerprint);
    CHECK(again.modelBytes == fs::file_size(out / "model.safetensors"));
    const Decoder decoder(out);
    CHECK(decoder.layer(0).site(SiteKind::Qkv).linears[0].codes);
    CHECK(decoder.layer(2).site(SiteKind::Down).transform);
    CHECK(decoder.forward(std::vector<int32_t>{1, 2, 3}).allFinite());
}

TEST_CASE("bake: every recipe gives a folder that loads, and 8 bits stay close to the float model") {
    Workshop shop;
    struct Case {
        int weights, activations, group;
        bool symmetric;
        TransformKind transform;
    };
    for (const Case& c :
         {Case{8, 8, 0, false, TransformKind::Cat}, Case{8, 16, 32, false, TransformKind::Hadamard},
          Case{4, 16, 32, false, TransformKind::Cat}, Case{4, 8, 64, false, TransformKind::None},
          Case{4, 4, 128, true, TransformKind::Hadamard}, Case{16, 16, 0, false, TransformKind::None}}) {
        CAPTURE(c.weights);
        CAPTURE(c.activations);
        shop.options.weightBits = c.weights;
        shop.options.activationBits = c.activations;
        shop.options.groupSize = c.group;
        shop.options.activationSymmetric = c.symmetric;
        shop.options.transform = c.transform;
        shop.options.overwrite = true;
        calibrate::calibrate(shop.options);
        const EvaluationResult result = evaluate({shop.options.outDir, shop.options.modelDir, shop.options.texts});
        CHECK(std::isfinite(result.meanNll));
        if (c.weights == 8) CHECK(result.divergence->mean < 1e-3);
        if (c.weights == 16) CHECK(result.divergence->maximum < 1e-12);
    }
}

TEST_CASE("bake: an output layer of 8 bits costs next to nothing, one of 4 bits more, and its floats are gone") {
    for (const bool tied : {true, false}) {
        CAPTURE(tied);
        test::ModelRecipe model;
        model.tied = tied;
        Workshop shop(model);
        shop.options.overwrite = true;
        const auto divergence = [&](int headBits) {
            shop.options.headBits = headBits;
            const Report report = calibrate::calibrate(shop.options);
            const Decoder decoder(shop.options.outDir);
            REQUIRE(report.sites.size() == (headBits == 16 ? 12u : 13u));
            CHECK((decoder.tensors().find("lm_head.weight") != nullptr) == (headBits == 16 && !tied));
            CHECK((decoder.tensors().find("lm_head.codes") != nullptr) == (headBits != 16));
            if (headBits != 16) {
                CHECK(report.sites.back().site == "lm_head");
                CHECK(report.sites.back().weightBits == headBits);
                CHECK(report.sites.back().activationBits == 8);
                CHECK(decoder.config().recipe("lm_head").weightBits == headBits);
                CHECK(decoder.head().transform.has_value() == (shop.options.transform != TransformKind::None));
            }
            return evaluate({shop.options.outDir, shop.options.modelDir, shop.options.texts}).divergence->mean;
        };
        for (const Rounding rounding : {Rounding::Nearest, Rounding::Gptq}) {
            shop.options.rounding = rounding;
            const double floats = divergence(16), eight = divergence(8), four = divergence(4);
            MESSAGE("KLD ", floats, ", head of 8 bits ", eight, ", of 4 bits ", four);
            CHECK(eight < 1.02 * floats);  // GPTQ even makes up for a part of what the layers lost
            CHECK(four > floats);
            CHECK(four < 3 * floats);
        }
        shop.options.leastSqnr = 60;  // more than 4 bits can keep
        shop.options.headBits = 4;
        const SiteReport head = calibrate::calibrate(shop.options).sites.back();
        CHECK(head.weightBits == 8);
        REQUIRE(!head.notes.empty());
        CHECK(head.notes.front().find("8 bits: with 4") != std::string::npos);
        shop.options.leastSqnr.reset();
        shop.options.rounding = Rounding::WaterSic;  // an output layer that is not coded beside layers that are
        shop.options.transform = TransformKind::None;
        shop.options.weightBits = shop.options.activationBits = 8;
        divergence(4);
    }
}

TEST_CASE("bake: bytes do not depend on the number of threads") {
    Workshop shop;
    FolderBytes expected;
    for (int threads : {1, 2, 5}) {
        shop.options.threads = threads;
        const fs::path out = shop.out(("out" + std::to_string(threads)).c_str());
        calibrate::calibrate(shop.options);
        if (expected.empty()) expected = bytesOf(out);
        CHECK(bytesOf(out) == expected);
    }
}

TEST_CASE("bake: killed at any moment, the same command ends with the same bytes") {
    Workshop shop;
    int calls = 0;
    shop.out("whole");
    calibrate::calibrate(shop.options, [&](const ProgressUpdate&) { ++calls; });
    const FolderBytes expected = bytesOf(shop.temp / "whole");
    shop.out("killed");
    int kills = 0, status = -SIGKILL;
    for (int last = 1; last < calls && status != 0;
         last += 4) {  // each run may go on a little longer than the one before
        status = inChild([&] {
            int seen = 0;
            calibrate::calibrate(shop.options, [&](const ProgressUpdate&) {
                if (++seen == last) ::kill(::getpid(), SIGKILL);
            });
        });
        CHECK((status == 0 || status == -SIGKILL));
        if (status != 0) {
            ++kills;
            CHECK_FALSE(fs::exists(shop.temp / "killed"));
        }
    }
    CHECK(kills >= 3);
    if (status != 0) CHECK(calibrate::calibrate(shop.options).resumed);
    CHECK(bytesOf(shop.temp / "killed") == expected);
    CHECK_FALSE(fs::exists(shop.temp / "killed.partial"));
}

TEST_CASE("bake: killed at the output layer, before and after it, the same command ends with the same bytes") {
    Workshop shop;
    shop.options.headBits = 4;
    shop.options.rounding = Rounding::Gptq;
    shop.out("whole");
    calibrate::calibrate(shop.options);
    const FolderBytes expected = bytesOf(shop.temp / "whole");
    shop.out("killed");
    for (const char* stage : {"output layer", "writing"}) {
        const int status = inChild([&] {
            calibrate::calibrate(shop.options, [&](const ProgressUpdate& update) {
                if (update.stage.find(stage) != std::string::npos) ::kill(::getpid(), SIGKILL);
            });
        });
        CHECK(status == -SIGKILL);
    }
    CHECK(fs::exists(shop.temp / "killed.partial" / "layer-0003.safetensors"));
    test::writeFile(shop.temp / "killed.partial" / "layer-0003.safetensors", "damaged");
    CHECK(calibrate::calibrate(shop.options).resumed);
    CHECK(bytesOf(shop.temp / "killed") == expected);
}

TEST_CASE("bake: a layer file damaged between two runs is made again") {
    Workshop shop;
    shop.out("whole");
    calibrate::calibrate(shop.options);
    shop.out("damaged");
    std::atomic<bool> stop{false};
    shop.options.stop = &stop;
    const auto stopInThird = [&](const ProgressUpdate& u) { stop = u.stage.find("layer 3") != std::string::npos; };
    try {
        calibrate::calibrate(shop.options, stopInThird);
        FAIL("the stop flag was not heeded");
    } catch (const Error& error) {
        CHECK(error.code() == Result::Cancelled);
        CHECK(mentions(error.what(), "2 of 3 layers"));
    }
    CHECK_FALSE(fs::exists(shop.temp / "damaged"));
    shop.options.stop = nullptr;
    const fs::path layer = shop.temp / "damaged.partial" / "layer-0001.safetensors";
    std::string bytes = test::readFile(layer);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    test::writeFile(layer, bytes);
    CHECK(calibrate::calibrate(shop.options).resumed);
    CHECK(bytesOf(shop.temp / "damaged") == bytesOf(shop.temp / "whole"));
}

TEST_CASE("bake: a full disk ends with one sentence, and with space the run goes on") {
    Workshop shop;
    shop.out("whole");
    calibrate::calibrate(shop.options);
    const uint64_t model = fs::file_size(shop.temp / "whole" / "model.safetensors");
    shop.out("full");
    for (const uint64_t limit : {uint64_t{3000}, model / 4, model - 1}) {  // no layer fits; some do; the model does not
        const int status = inChild([&] {
            ::signal(SIGXFSZ, SIG_IGN);
            const rlimit bound{limit, limit};
            ::setrlimit(RLIMIT_FSIZE, &bound);
            calibrate::calibrate(shop.options);
        });
        CHECK(status == 41);
        CHECK_FALSE(fs::exists(shop.temp / "full"));
    }
    calibrate::calibrate(shop.options);
    CHECK(bytesOf(shop.temp / "full") == bytesOf(shop.temp / "whole"));
}

TEST_CASE("bake: an output in the way is refused and stays as it is") {
    Workshop shop;
    calibrate::calibrate(shop.options);
    const FolderBytes before = bytesOf(shop.options.outDir);
    shop.options.activationBits = 8;
    CHECK(mentions(refusal(shop.options, Result::InvalidArgument), "exists"));
    CHECK(bytesOf(shop.options.outDir) == before);

    shop.options.overwrite = true;
    calibrate::calibrate(shop.options);
    CHECK(bytesOf(shop.options.outDir) != before);

    fs::create_directory(shop.temp / "photos");
    test::writeFile(shop.temp / "photos" / "cat.jpg", "x");
    shop.out("photos");
    CHECK(mentions(refusal(shop.options, Result::InvalidArgument), "not written by vulcat"));
    CHECK(test::readFile(shop.temp / "photos" / "cat.jpg") == "x");

    shop.out("model");
    CHECK(mentions(refusal(shop.options, Result::InvalidArgument), "model folder itself"));

    test::writeFile(shop.temp / "plain", "x");
    shop.out("plain");
    CHECK(mentions(refusal(shop.options, Result::InvalidArgument), "not a folder"));

    fs::create_directory(shop.temp / "empty");
    shop.out("empty");
    shop.options.overwrite = false;
    calibrate::calibrate(shop.options);
    CHECK(fs::exists(shop.temp / "empty" / "model.safetensors"));
}

TEST_CASE("bake: an unfinished run of another recipe is not thrown away unasked") {
    Workshop shop;
    std::atomic<bool> stop{false};
    shop.options.stop = &stop;
    CHECK_THROWS_AS(calibrate::calibrate(shop.options, [&](const ProgressUpdate& u) { stop = u.done > 15; }), Error);
    shop.options.stop = nullptr;
    shop.options.block = 16;
    CHECK(mentions(refusal(shop.options, Result::InvalidArgument), "unfinished"));
    shop.options.overwrite = true;
    CHECK_FALSE(calibrate::calibrate(shop.options).resumed);
}

TEST_CASE("bake: bad models and texts are named") {
    const auto broken = [](const test::ModelRecipe& recipe, const std::string& part) {
        Workshop shop(recipe);
        CHECK(mentions(refusal(shop.options, Result::InvalidFile), part));
        CHECK_FALSE(fs::exists(shop.temp / "out"));
        CHECK_FALSE(fs::exists(shop.temp / "out.partial"));
        CHECK_THROWS_AS(estimate(shop.options), Error);
    };
    test::ModelRecipe missing, shape, head;
    missing.leaveOut = "model.layers.1.mlp.up_proj.weight";
    broken(missing, missing.leaveOut);
    shape.wrongShape = "model.layers.2.self_attn.o_proj.weight";
    broken(shape, shape.wrongShape);
    head.leaveOut = "model.norm.weight";
    broken(head, head.leaveOut);
    for (const char* name :
         {"model.layers.2.self_attn.k_proj.weight", "model.embed_tokens.weight", "model.norm.weight"}) {
        test::ModelRecipe recipe;
        recipe.notFinite = name;
        Workshop shop(recipe);
        CHECK(mentions(refusal(shop.options, Result::InvalidFile), name));
    }
    Workshop shop;
    const auto withText = [&](const std::string& text, const std::string& part) {
        test::writeFile(shop.temp / "text.txt", text);
        CHECK(mentions(refusal(shop.options, Result::InvalidFile), part));
    };
    withText("", "text.txt");
    withText("\n\r\n", "text.txt");
    withText("no separator here", "never occurs");
    withText("--\n--\n--", "holds no text");
    withText("a--b--", "two tokens");
    shop.options.texts.files = {shop.temp / "absent.txt"};
    CHECK(mentions(refusal(shop.options, Result::InvalidFile), "absent.txt"));
    shop.options.texts.files = {shop.temp / "model"};
    CHECK(mentions(refusal(shop.options, Result::InvalidFile), "folder"));
    shop.options.modelDir = shop.temp / "nowhere";
    CHECK(mentions(refusal(shop.options, Result::InvalidFile), "nowhere"));
}

TEST_CASE("bake: options out of range and calibrated models are refused") {
    Workshop shop;
    const auto bad = [&](auto change, const std::string& part) {
        CalibrateOptions options = shop.options;
        change(options);
        CHECK(mentions(refusal(options, Result::InvalidArgument), part));
    };
    bad([](CalibrateOptions& o) { o.weightBits = 5; }, "4, 8 or 16");
    bad([](CalibrateOptions& o) { o.activationBits = 3; }, "4, 8 or 16");
    bad([](CalibrateOptions& o) { o.weightBits = 16; }, "16");
    bad([](CalibrateOptions& o) { o.headBits = 6; }, "output layer");
    bad(
        [](CalibrateOptions& o) {
            o.weightBits = o.activationBits = 16;
            o.transform = TransformKind::None;
            o.headBits = 8;
        },
        "output layer");
    bad([](CalibrateOptions& o) { o.block = 8; }, "block");
    bad([](CalibrateOptions& o) { o.groupSize = 48; }, "group");
    bad([](CalibrateOptions& o) { o.texts.seqLen = 1; }, "sequence length");
    bad([](CalibrateOptions& o) { o.texts.files.clear(); }, "text file");
    calibrate::calibrate(shop.options);
    shop.options.modelDir = shop.options.outDir;
    shop.out("again");
    CHECK(mentions(refusal(shop.options, Result::Unsupported), "calibrated already"));
}
