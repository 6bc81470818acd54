// Small random models of every shape and recipe against the CPU decoder of the floor `calibrate`.
#include "calibrate/decoder.h"
#include "kernels/row_program.h"
#include "model/session.h"
#include "model/stepper.h"
#include "model_folder.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace vulcat;
using format::DType;
using model::LogitsRows;
using test::ModelRecipe;
using test::RandomTransform;

namespace {

layers::Engine engineOf(test::GpuFixture& gpu) {
    return {gpu.device(), gpu.pipelines(), gpu.device().capabilities()};
}

std::vector<int32_t> randomTokens(int count, int vocabulary, uint64_t seed) {
    test::Rng rng(seed);
    std::vector<int32_t> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(rng.integer(0, vocabulary - 1)));
    return tokens;
}

struct Comparison {
    double relative = 0;   ///< root mean square difference over the root mean square logit
    double medianRow = 0;  ///< the same of the median row
};

Comparison compare(const std::vector<float>& got, const calibrate::Matrix& expected) {
    REQUIRE(got.size() == static_cast<size_t>(expected.size()));
    const auto columns = static_cast<size_t>(expected.cols());
    std::vector<double> rows;
    double differences = 0, sizes = 0;
    for (size_t row = 0; row < static_cast<size_t>(expected.rows()); ++row) {
        double difference = 0, size = 0;
        for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
            const double d = static_cast<double>(got[i]) - static_cast<double>(expected.data()[i]);
            difference += d * d;
            size += static_cast<double>(expected.data()[i]) * static_cast<double>(expected.data()[i]);
        }
        rows.push_back(std::sqrt(difference / size));
        differences += difference;
        sizes += size;
    }
    std::nth_element(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2), rows.end());
    return {std::sqrt(differences / sizes), rows[rows.size() / 2]};
}

/// Runs the model on both sides: as a whole and, on the GPU, in a prompt of 11 tokens and then token by token.
/// False when a code differed somewhere. `everything`: with what works, beside what is fast.
bool check(test::GpuFixture& gpu, const std::string& name, const ModelRecipe& recipe, bool everything = false) {
    CAPTURE(name);
    test::TempFolder folder;
    test::writeModelFolder(folder.path(), recipe);
    const auto tokens = randomTokens(29, recipe.vocabulary, recipe.seed + 100);
    const calibrate::Matrix expected = calibrate::Decoder(folder.path()).forward(tokens);

    layers::Engine engine = engineOf(gpu);
    if (everything) engine.allowed = gpu.capabilities();
    const model::DecoderModel decoder(engine, folder.path());
    model::Session session(decoder, {.logitRows = 7});
    const size_t created = gpu.pipelines().createdCount();
    const Comparison whole = compare(session.forward(tokens, LogitsRows::All), expected);
    session.reset();
    std::vector<float> stepped = session.forward(std::span(tokens).first(11), LogitsRows::All);
    for (size_t i = 11; i < tokens.size(); ++i) {
        const auto row = session.forward({&tokens[i], 1});
        stepped.insert(stepped.end(), row.begin(), row.end());
    }
    const Comparison steps = compare(stepped, expected);
    CHECK(gpu.pipelines().createdCount() == created);

    // Sums of at most 200 terms in two layers differ by their order: 2^-24 times a few dozen.
    MESSAGE(name, ": ", whole.relative, " (median row ", whole.medianRow, "), stepped ", steps.relative);
    constexpr double kRounding = 1e-5;
    if (recipe.activationBits == 16) {
        CHECK(whole.relative < kRounding);
        CHECK(steps.relative < kRounding);
        return true;
    }
    // Now and then such a difference moves an activation over a rounding threshold. One code in the first layer then
    // changes everything after it by about a step of the quantiser, so the models where that happened are counted.
    CHECK(whole.relative < 0.03);
    CHECK(steps.relative < 0.03);
    return whole.medianRow < kRounding && steps.medianRow < kRounding;
}

ModelRecipe baked(int weightBits, int activationBits, RandomTransform transform, uint64_t seed) {
    ModelRecipe recipe;
    recipe.weightBits = weightBits;
    recipe.activationBits = activationBits;
    recipe.transform = transform;
    recipe.seed = seed;
    return recipe;
}

}  // namespace

TEST_CASE("float models of every shape agree with the CPU decoder") {
    test::GpuFixture gpu;
    check(gpu, "grouped queries, tied, F32", {});
    check(gpu, "untied head, BF16, theta at top level",
          {.tied = false, .thetaAtTop = true, .dtype = DType::BF16, .seed = 2});
    check(gpu, "biases, F16", {.attentionBias = true, .mlpBias = true, .dtype = DType::F16, .seed = 3});
    check(gpu, "stacked linears of different dtypes", {.attentionBias = true, .mixedDtypes = true, .seed = 6});
    check(gpu, "llama3 rope, one key head, narrow",
          {.hidden = 36,
           .intermediate = 44,
           .heads = 4,
           .kvHeads = 1,
           .headDim = 8,
           .vocabulary = 71,
           .llama3Rope = true,
           .seed = 4});
    check(gpu, "plain attention, one layer",
          {.hidden = 64, .layers = 1, .heads = 4, .kvHeads = 4, .headDim = 16, .seed = 5});
}

TEST_CASE("baked models of every recipe agree with the CPU decoder") {
    test::GpuFixture gpu;
    int differing = 0;
    const auto count = [&](const std::string& name, const ModelRecipe& recipe) {
        if (!check(gpu, name, recipe)) ++differing;
    };
    count("w4a4 asymmetric, blocks and mix", baked(4, 4, RandomTransform::Blocks, 11));
    ModelRecipe recipe = baked(4, 8, RandomTransform::None, 12);
    recipe.quantisedHead = true;
    count("w4a8 without transform, the head too, whose floats the embedding keeps", recipe);
    count("w8a8 Hadamard", baked(8, 8, RandomTransform::Hadamard, 13));
    count("w4a16 Hadamard", baked(4, 16, RandomTransform::Hadamard, 14));
    count("w8a16 blocks and mix", baked(8, 16, RandomTransform::Blocks, 15));
    count("w8a4", baked(8, 4, RandomTransform::None, 16));

    recipe = baked(4, 4, RandomTransform::Hadamard, 17);
    recipe.symmetric = true;
    recipe.groupSize = 32;
    recipe.attentionBias = recipe.mlpBias = true;
    count("w4a4 symmetric, groups of 32, biases", recipe);

    recipe = baked(4, 8, RandomTransform::Blocks, 18);
    recipe.groupSize = 64;
    recipe.halfScales = true;
    recipe.block = 32;
    recipe.intermediate = 172;
    recipe.tied = false;
    recipe.dtype = DType::BF16;
    recipe.quantisedHead = true;
    count("w4a8 groups of 64 with F16 scales, block 32, untied BF16, quantised head", recipe);

    recipe = baked(4, 16, RandomTransform::None, 19);
    recipe.groupSize = 128;
    recipe.intermediate = 200;
    recipe.quantisedHead = true;
    count("w4a16 groups of 128, the head too", recipe);

    recipe = baked(8, 8, RandomTransform::Blocks, 20);
    recipe.coded = true;
    recipe.block = 1;
    recipe.quantisedHead = true;
    count("entropy-coded, columns scaled by blocks of one, the head too", recipe);
    CHECK_MESSAGE(differing <= 2, "codes differ in ", differing, " of 10 models");
}

namespace {

/// Of sizes that a program of one dispatch takes (kernels/row_program.h).
ModelRecipe evenly(ModelRecipe recipe, int heads, int kvHeads, int headDim, int intermediate) {
    recipe.hidden = heads * headDim;
    recipe.heads = heads;
    recipe.kvHeads = kvHeads;
    recipe.headDim = headDim;
    recipe.intermediate = intermediate;
    recipe.block = 32;
    return recipe;
}

/// Logits of each token, appended one by one: by whole passes, or in slices as small as can be.
std::vector<float> byToken(const model::DecoderModel& decoder, std::span<const int32_t> tokens, bool sliced) {
    model::Session session(decoder, {.contextLength = 64});
    model::StepCosts costs(decoder.engine().device.info(), 0);
    model::Stepper stepper(session, costs);
    std::vector<float> logits;
    for (const int32_t token : tokens) {
        std::vector<float> row;
        if (sliced) {
            if (logits.empty()) {  // a pass that is given up in its middle leaves nothing behind
                stepper.queue({&token, 1});
                stepper.step(std::chrono::nanoseconds(1), model::StepMode::Balance);
                CHECK_FALSE(stepper.idle());
                stepper.cancel();
            }
            stepper.queue({&token, 1});
            while (!stepper.idle()) stepper.step(std::chrono::microseconds(20), model::StepMode::Balance);
            row = stepper.takeLogits();
        } else {
            row = session.forward({&token, 1});
        }
        logits.insert(logits.end(), row.begin(), row.end());
    }
    return logits;
}

}  // namespace

namespace {

PFN_vkGetInstanceProcAddr realInstanceProc = nullptr;
PFN_vkGetPhysicalDeviceProperties realProperties = nullptr;
VkPhysicalDeviceType claimedType = VK_PHYSICAL_DEVICE_TYPE_OTHER;

VKAPI_ATTR void VKAPI_CALL claimedProperties(VkPhysicalDevice device, VkPhysicalDeviceProperties* properties) {
    realProperties(device, properties);
    properties->deviceType = claimedType;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL claimingInstanceProc(VkInstance instance, const char* name) {
    const PFN_vkVoidFunction function = realInstanceProc(instance, name);
    if (std::string_view(name) != "vkGetPhysicalDeviceProperties") return function;
    realProperties = reinterpret_cast<PFN_vkGetPhysicalDeviceProperties>(function);
    return reinterpret_cast<PFN_vkVoidFunction>(claimedProperties);
}

}  // namespace

TEST_CASE("a driver that calls itself a GPU runs what GPUs run, and agrees with the CPU decoder") {
    const vk::Loader loader;
    realInstanceProc = loader.getInstanceProcAddr();
    // Wider than 512: a site is one dispatch of several workgroups there, and a head's keys are divided.
    ModelRecipe wide = evenly(baked(4, 8, RandomTransform::Blocks, 36), 9, 1, 64, 1088);
    wide.block = 64;
    int differing = 0;
    for (const auto type : {VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU}) {
        claimedType = type;
        test::GpuFixture gpu({}, {.getInstanceProcAddr = claimingInstanceProc, .messages = {}});
        const bool integrated = type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
        REQUIRE((gpu.device().info().type == (integrated ? vk::DeviceType::Integrated : vk::DeviceType::Discrete)));
        if (!check(gpu, integrated ? "an integrated GPU" : "a card, with dot products and matrices", wide, !integrated)) ++differing;
        const test::TempFolder folder;
        ModelRecipe small = baked(4, 8, RandomTransform::None, 37);
        small.positions = 1024;
        test::writeModelFolder(folder.path(), small);
        const model::DecoderModel decoder(engineOf(gpu), folder.path());
        CHECK(model::Session(decoder).chunkRows() == (integrated ? 128u : 512u));
        CHECK(model::Session(decoder, {.chunkRows = 256}).chunkRows() == 256);
    }
    CHECK(differing <= 1);
}

TEST_CASE("without timestamps slices that are left running hold many commands all the same, and give the same logits") {
    vk::DeviceOptions options;
    options.limits.timestampMask = 0;
    test::GpuFixture gpu(options);
    const test::TempFolder folder;
    test::writeModelFolder(folder.path(), baked(4, 8, RandomTransform::Blocks, 35));
    const model::DecoderModel decoder(engineOf(gpu), folder.path());
    model::Session session(decoder, {.contextLength = 64});
    model::Session whole(decoder, {.contextLength = 64});
    model::StepCosts costs(gpu.device().info(), 0);
    model::Stepper stepper(session, costs);
    const auto tokens = randomTokens(5, 90, 3);
    uint64_t slices = 0, dispatches = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
        stepper.queue({&tokens[i], 1});
        while (!stepper.idle()) {
            const model::StepReport report = stepper.step(std::chrono::milliseconds(60), model::StepMode::Graphics);
            // A frame goes by, in which the slice ends; what it took is not seen.
            std::this_thread::sleep_for(std::chrono::milliseconds(80));
            if (i < 3) continue;
            slices += report.slices;
            dispatches += report.dispatches;
        }
        CHECK(stepper.takeLogits() == whole.forward({&tokens[i], 1}));
    }
    CHECK(slices > 0);
    CHECK(dispatches > 2 * slices);  // one each, where a frame counts as what a command took
}

TEST_CASE("a token in one dispatch agrees with the CPU decoder, with single kernels, and with its slices to the bit") {
    test::GpuFixture gpu;
    ModelRecipe plain = evenly(baked(4, 8, RandomTransform::None, 31), 10, 5, 16, 192);
    plain.quantisedHead = true;
    plain.attentionBias = plain.mlpBias = true;
    ModelRecipe mixed = evenly(baked(4, 4, RandomTransform::Blocks, 32), 10, 1, 16, 352);
    ModelRecipe grouped = evenly(baked(4, 8, RandomTransform::Blocks, 33), 6, 2, 32, 640);
    grouped.groupSize = 64;
    grouped.tied = false;
    grouped.quantisedHead = true;
    ModelRecipe wide = evenly(baked(4, 8, RandomTransform::Blocks, 34), 9, 1, 64, 1088);
    wide.layers = 3;
    wide.block = 64;
    wide.llama3Rope = true;
    int differing = 0;
    for (const ModelRecipe& recipe : {plain, mixed, grouped, wide}) {
        const std::string name = "a program of width " + std::to_string(recipe.hidden);
        CAPTURE(name);
        if (!check(gpu, name, recipe)) ++differing;
        test::TempFolder folder;
        test::writeModelFolder(folder.path(), recipe);
        const model::DecoderModel decoder(engineOf(gpu), folder.path());
        const bool can = gpu.device().enabled().contains({vk::Capability::Subgroup, vk::Capability::Address}) &&
                         gpu.device().info().type == vk::DeviceType::Cpu;
        CHECK((decoder.rowProgram() != nullptr) == can);
        if (!can) {
            MESSAGE("SKIPPED: no program of one dispatch on this device");
            continue;
        }
        const auto tokens = randomTokens(37, recipe.vocabulary, recipe.seed);
        const std::vector<float> whole = byToken(decoder, tokens, false);
        CHECK(byToken(decoder, tokens, true) == whole);
        layers::Engine engine = engineOf(gpu);
        engine.allowed = engine.allowed - vk::CapabilitySet{vk::Capability::Address};
        const model::DecoderModel single(engine, folder.path());
        CHECK(single.rowProgram() == nullptr);
        const std::vector<float> expected = byToken(single, tokens, false);
        double difference = 0, size = 0;
        for (size_t i = 0; i < whole.size(); ++i) {
            difference += std::pow(static_cast<double>(whole[i]) - static_cast<double>(expected[i]), 2);
            size += std::pow(static_cast<double>(expected[i]), 2);
        }
        CHECK(std::sqrt(difference / size) < 0.03);  // as in check(): now and then a code differs
    }
    CHECK_MESSAGE(differing <= 1, "codes differ in ", differing, " of 4 models");
}

TEST_CASE("steps of another shape than their program's are refused") {
    test::GpuFixture gpu;
    kernels::RowProgramShape shape;
    shape.attention = {4, 2, 16};
    shape.hidden.width = 64;
    shape.product.width = 96;
    shape.product.source = kernels::SiteSource::SwiGlu;
    shape.linear.inputs = 64;
    const vk::BufferView memory = gpu.output<float>(1024);
    kernels::RowSteps steps(gpu.device(), shape, {memory, memory, memory, memory, {}, memory, memory});
    kernels::SiteCodesShape other = shape.hidden;
    other.mixOrder = 2;
    CHECK_THROWS_AS(steps.addSite(other, memory, {memory, {}, memory}), Error);
    other = shape.product;
    other.width = 64;
    CHECK_THROWS_AS(steps.addSite(other, memory, {memory, {}, memory}), Error);
    CHECK(steps.steps().empty());
}

TEST_CASE("a baked model split at a lowered storage range gives the same bits") {
    ModelRecipe recipe = evenly(baked(4, 8, RandomTransform::Blocks, 21), 10, 5, 16, 192);
    recipe.vocabulary = 300;
    test::TempFolder folder;
    test::writeModelFolder(folder.path(), recipe);
    const auto tokens = randomTokens(9, recipe.vocabulary, 7);
    const auto logitsWith = [&](const vk::DeviceOptions& options) {
        test::GpuFixture gpu(options);
        const model::DecoderModel decoder(engineOf(gpu), folder.path());
        model::Session session(decoder, {.contextLength = 32});
        std::vector<float> logits = session.forward(tokens, LogitsRows::All);
        const std::vector<float> next = session.forward(std::span(tokens).first(1));
        logits.insert(logits.end(), next.begin(), next.end());
        return logits;
    };
    vk::DeviceOptions small;
    small.limits.maxStorageRange = 20000;
    CHECK(logitsWith(small) == logitsWith({}));
    recipe.quantisedHead = true;
    recipe.vocabulary = 1500;
    test::writeModelFolder(folder.path(), recipe);
    CHECK(logitsWith(small) == logitsWith({}));
}
