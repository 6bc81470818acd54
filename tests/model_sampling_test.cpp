#include "base/error.h"
#include "model/sampling.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

using namespace vulcat;
using model::Sampler;
using model::SamplingOptions;

TEST_CASE("greedy takes the largest logit, the lowest id among equals") {
    const std::vector<float> logits{-1.0f, 3.0f, 0.5f, 3.0f};
    CHECK(Sampler().choose(logits) == 1);
    CHECK(model::greedyChoice(logits) == 1);
    const float infinity = std::numeric_limits<float>::infinity();
    CHECK(model::greedyChoice(std::vector<float>{-infinity, -infinity}) == 0);
}

TEST_CASE("the fixed-point exponential is exact at 0 and within 2^-29 elsewhere") {
    CHECK(model::fixedPointExp(0.0) == uint64_t{1} << 32);
    double worst = 0;
    for (double x = 0; x < 25; x += 0.001) {
        const double got = static_cast<double>(model::fixedPointExp(x)) * 0x1p-32;
        worst = std::max(worst, std::fabs(got - std::exp(-x)));
    }
    CHECK(worst < 0x1p-29);
}

TEST_CASE("the largest logits alone decide as the whole row does") {
    std::vector<float> logits;
    for (int i = 0; i < 300; ++i) logits.push_back(static_cast<float>(i * 37 % 101) * 0.125f);  // with equal ones
    std::vector<model::Candidate> row;
    for (size_t i = 0; i < logits.size(); ++i) row.push_back({static_cast<int32_t>(i), logits[i]});
    std::stable_sort(row.begin(), row.end(),
                     [](const model::Candidate& a, const model::Candidate& b) { return a.logit > b.logit; });
    for (const SamplingOptions& options :
         {SamplingOptions{}, SamplingOptions{.temperature = 1, .topK = 40}, SamplingOptions{.temperature = 2, .topK = 7, .topP = 0.7f},
          SamplingOptions{.temperature = 1, .topK = 1}}) {
        Sampler whole(options), few(options);
        REQUIRE(few.decisive() == std::max(options.topK, 1u));
        for (int i = 0; i < 50; ++i) CHECK(few.chooseAmong(std::span(row).first(few.decisive())) == whole.choose(logits));
    }
    CHECK(Sampler({.temperature = 1}).decisive() == 0);
    CHECK_THROWS_AS(Sampler().chooseAmong({}), Error);
    CHECK_THROWS_WITH_AS(Sampler().chooseAmong(std::vector<model::Candidate>{{9, std::nanf("")}}),
                         doctest::Contains("logit 9"), Error);
}

TEST_CASE("the random stream gives the published SplitMix64 numbers") {
    model::RandomStream stream(1234567);
    CHECK(stream.next() == 6457827717110365317u);
    CHECK(stream.next() == 3203168211198807973u);
    CHECK(stream.next() == 9817491932198370423u);
    for (int i = 0; i < 1000; ++i) CHECK(stream.below(7) < 7);
}

TEST_CASE("frequencies follow the softmax of the logits over the temperature") {
    const std::vector<float> logits{0.0f, 1.0f, -1.0f, 2.0f};
    Sampler sampler({.temperature = 0.8f, .topK = 0, .topP = 1.0f, .seed = 5});
    constexpr int kDraws = 40000;
    std::array<int, 4> counts{};
    for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.choose(logits))];
    double total = 0;
    for (float logit : logits) total += std::exp(static_cast<double>(logit) / 0.8);
    for (size_t i = 0; i < counts.size(); ++i) {
        const double p = std::exp(static_cast<double>(logits[i]) / 0.8) / total;
        const double deviation = std::sqrt(p * (1 - p) / kDraws);
        CHECK(std::fabs(counts[i] / static_cast<double>(kDraws) - p) < 5 * deviation);
    }
}

TEST_CASE("top-k and top-p never choose what they cut off") {
    const std::vector<float> logits{1.0f, 0.9f, 0.8f, 0.7f, -3.0f};
    Sampler topK({.temperature = 2.0f, .topK = 2, .topP = 1.0f, .seed = 1});
    Sampler topP({.temperature = 1.0f, .topK = 0, .topP = 0.5f, .seed = 1});  // shares 0.29, 0.26: two tokens
    std::array<bool, 5> seenK{}, seenP{};
    for (int i = 0; i < 2000; ++i) {
        seenK[static_cast<size_t>(topK.choose(logits))] = true;
        seenP[static_cast<size_t>(topP.choose(logits))] = true;
    }
    CHECK(seenK == std::array{true, true, false, false, false});
    CHECK(seenP == std::array{true, true, false, false, false});
}

TEST_CASE("the same seed gives the same tokens, another seed others, and the sequence is fixed for all platforms") {
    std::vector<float> logits(100);
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 37) % 11) * 0.25f;
    const auto draw = [&](uint64_t seed) {
        Sampler sampler({.temperature = 1.0f, .topK = 40, .topP = 0.95f, .seed = seed});
        std::vector<int32_t> ids;
        for (int i = 0; i < 8; ++i) ids.push_back(sampler.choose(logits));
        return ids;
    };
    CHECK(draw(42) == draw(42));
    CHECK(draw(42) != draw(43));
    CHECK(draw(42) == std::vector<int32_t>{57, 52, 85, 96, 8, 32, 63, 90});
}

TEST_CASE("options and logits out of range are refused by name") {
    CHECK_THROWS_WITH_AS(Sampler({.temperature = -1.0f}), doctest::Contains("temperature"), Error);
    CHECK_THROWS_WITH_AS(Sampler({.temperature = std::nanf("")}), doctest::Contains("temperature"), Error);
    CHECK_THROWS_WITH_AS(Sampler({.topP = 0.0f}), doctest::Contains("topP"), Error);
    CHECK_THROWS_WITH_AS(Sampler({.topP = 1.5f}), doctest::Contains("topP"), Error);
    CHECK_THROWS_AS(Sampler().choose({}), Error);
    CHECK_THROWS_WITH_AS(Sampler().choose(std::vector<float>{0.0f, std::nanf("")}), doctest::Contains("logit 1"),
                         Error);
}
