// GPTQ, WaterSIC, permutations, recipes and mixed bits in the layer-by-layer bake: folders that run, bytes that never
// depend on threads or kills, rates that are kept, and hard inputs that end with notes and not with an abort.

#include "calibrate/calibrate.h"
#include "calibrate/coded_site.h"
#include "calibrate/decoder.h"
#include "calibrate/estimate.h"
#include "calibrate/evaluate.h"
#include "calibrate/hidden_order.h"
#include "calibrate/site_work.h"

#include "calibrate_workshop.h"
#include "support/dense.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <numeric>

using namespace vulcat;
using namespace vulcat::calibrate;
using test::bytesOf;
using test::Workshop;
namespace fs = std::filesystem;

namespace {

void useWaterSic(CalibrateOptions& options, double rate) {
    options.rounding = Rounding::WaterSic;
    options.transform = TransformKind::None;
    options.weightBits = 8;
    options.activationBits = 8;
    options.rate = rate;
}

struct Named {
    const char* name;
    void (*set)(CalibrateOptions&);
};

/// What differs in kind: each touches code that the others do not.
const Named kRecipes[] = {
    {"gptq behind CAT", [](CalibrateOptions& o) { o.rounding = Rounding::Gptq; }},
    {"gptq in groups, act order, permuted",
     [](CalibrateOptions& o) {
         o.rounding = Rounding::Gptq;
         o.groupSize = 32;
         o.actOrder = true;
         o.permute = Permute::Cat;
     }},
    {"whole width, mass, random signs",
     [](CalibrateOptions& o) {
         o.rounding = Rounding::Gptq;
         o.block = kFullBlock;
         o.permute = Permute::Mass;
         o.randomSigns = true;
         o.headBits = 4;
     }},
    {"block Hadamard, permuted by mass, 5 bits in the mean",
     [](CalibrateOptions& o) {
         o.transform = TransformKind::BlockHadamard;
         o.permute = Permute::Mass;
         o.permuteResidual = Permute::Mass;
         o.block = 16;
         o.targetBits = 5;
         o.headBits = 4;
     }},
    {"watersic", [](CalibrateOptions& o) { useWaterSic(o, 2.5); }},
};

double meanBits(const Report& report) {
    double bits = 0, weights = 0;
    for (const SiteReport& site : report.sites) {
        bits += site.bitsPerWeight * site.inputs * site.outputs;
        weights += static_cast<double>(site.inputs) * site.outputs;
    }
    return bits / weights;
}

bool noted(const Report& report, const std::string& part) {
    for (const SiteReport& site : report.sites)
        for (const std::string& note : site.notes)
            if (note.find(part) != std::string::npos) return true;
    return false;
}

}  // namespace

TEST_CASE("rounding: every recipe gives a folder that runs, the same for any number of threads") {
    for (const Named& recipe : kRecipes) {
        CAPTURE(std::string(recipe.name));
        Workshop shop;
        recipe.set(shop.options);
        shop.options.threads = 1;
        calibrate::calibrate(shop.options);
        const auto expected = bytesOf(shop.options.outDir);
        const EvaluationResult result = evaluate({shop.options.outDir, shop.options.modelDir, shop.options.texts});
        CHECK(std::isfinite(result.meanNll));
        CHECK(result.divergence->mean < 0.5);
        shop.options.threads = 3;
        shop.out("again");
        calibrate::calibrate(shop.options);
        CHECK(bytesOf(shop.options.outDir) == expected);
    }
}

TEST_CASE("rounding: killed at any moment, the same command ends with the same bytes") {
    for (const Named& recipe : kRecipes) {
        CAPTURE(std::string(recipe.name));
        Workshop shop;
        recipe.set(shop.options);
        int calls = 0;
        shop.out("whole");
        calibrate::calibrate(shop.options, [&](const ProgressUpdate&) { ++calls; });
        const auto expected = bytesOf(shop.temp / "whole");
        shop.out("killed");
        int status = -SIGKILL;
        for (int last = calls / 2; last < calls && status != 0; last += calls / 4) {
            status = test::inChild([&] {
                int seen = 0;
                calibrate::calibrate(shop.options, [&](const ProgressUpdate&) {
                    if (++seen == last) ::kill(::getpid(), SIGKILL);
                });
            });
            CHECK((status == 0 || status == -SIGKILL));
        }
        if (status != 0) CHECK(calibrate::calibrate(shop.options).resumed);
        CHECK(bytesOf(shop.temp / "killed") == expected);
    }
}

TEST_CASE("rounding: WaterSIC keeps its rate, and more bits keep more") {
    double previous = INFINITY;
    for (const double rate : {2.5, 3.5, 5.0}) {
        Workshop shop;
        useWaterSic(shop.options, rate);
        const Report report = calibrate::calibrate(shop.options);
        CHECK(std::fabs(meanBits(report) - rate) < 0.08);
        const double divergence =
            evaluate({shop.options.outDir, shop.options.modelDir, shop.options.texts}).divergence->mean;
        CHECK(divergence < previous);
        previous = divergence;
        const Decoder decoder(shop.options.outDir);
        CHECK(decoder.layer(0).site(SiteKind::Down).recipe.coded);
        CHECK(decoder.layer(0).site(SiteKind::Down).transform->block == 1);
    }
    CHECK(previous < 0.05);
}

TEST_CASE("rounding: a budget corrects itself by what was spent") {
    CHECK(remainingRate(3, 100, 0, 0) == doctest::Approx(3));
    CHECK(remainingRate(3, 100, 50, 160) == doctest::Approx(2.8));
    CHECK(remainingRate(3, 100, 100, 300) == 3);
    CHECK(remainingRate(3, 100, 99, 400) > 0);
}

TEST_CASE("rounding: target bits are met from below, auto keeps at 8 bits what 4 do not serve, and both say why") {
    Workshop shop;
    shop.options.targetBits = 6;
    const Report target = calibrate::calibrate(shop.options);
    double bits = 0, weights = 0;
    for (const SiteReport& site : target.sites) {
        bits += static_cast<double>(site.weightBits) * site.inputs * site.outputs;
        weights += static_cast<double>(site.inputs) * site.outputs;
    }
    CHECK(bits / weights <= 6);
    CHECK(bits / weights > 5.5);
    CHECK(noted(target, "target of 6.00 bits"));
    shop.options.targetBits.reset();
    shop.options.leastSqnr = 60;  // nothing reaches that with 4 bits
    shop.out("auto");
    const Report all = calibrate::calibrate(shop.options);
    for (const SiteReport& site : all.sites) CHECK(site.weightBits == 8);
    CHECK(noted(all, "8 bits: with 4 the site kept"));
    CHECK(evaluate({shop.options.outDir, shop.options.modelDir, shop.options.texts}).divergence->mean < 1e-3);
}

TEST_CASE("rounding: the order of hidden channels changes nothing but rounding errors") {
    Workshop shop;
    shop.options.permute = Permute::Cat;
    const Decoder decoder(shop.options.modelDir);
    Layer layer = decoder.layer(1);
    Matrix x = Matrix::Random(5, decoder.config().hiddenSize), y = x;
    decoder.run(layer, x);
    SiteInputs down{SecondMoments(decoder.config().intermediateSize, 0),
                    Matrix::Random(40, decoder.config().intermediateSize)};
    down.moments.add(down.rows);
    std::vector<std::string> notes;
    const auto order = orderHidden(shop.options, layer, down, 2, notes);
    REQUIRE(order);
    const auto fullest = [](const std::vector<float>& masses) {
        return *std::max_element(masses.begin(), masses.end());
    };
    CHECK(fullest(order->massAfter) <= fullest(order->massBefore) * 1.2f);
    CHECK(order->massBefore.size() == order->massAfter.size());
    decoder.run(layer, y);
    CHECK((x - y).cwiseAbs().maxCoeff() < 1e-4f);
    SecondMoments again(down.rows.cols(), 0);
    again.add(down.rows);
    const Eigen::Index n = down.rows.cols();
    CHECK((again.part(0, n) - down.moments.part(0, n)).cwiseAbs().maxCoeff() < 1e-4);
}

TEST_CASE("rounding: hard inputs end with notes, never with an abort") {
    test::ModelRecipe awkward;
    awkward.hidden = 36;
    awkward.intermediate = 172;
    Workshop shop(awkward);
    // One short text: covariances of rank far below their width.
    test::writeFile(shop.temp / "text.txt", "ab--");
    for (const Named& recipe : kRecipes) {
        CAPTURE(std::string(recipe.name));
        CalibrateOptions options = shop.options;
        recipe.set(options);
        if (options.rounding == Rounding::WaterSic) options.rate = 4;
        options.overwrite = true;
        const Report report = calibrate::calibrate(options);
        CHECK(report.tokens <= 2);
        CHECK(Decoder(options.outDir).forward(std::vector<int32_t>{1, 2, 3}).allFinite());
    }
}

TEST_CASE("rounding: dead channels, constant inputs and rows of zeros are told and survived") {
    std::vector<Linear> linears(2);
    linears[0].weight = Matrix::Random(24, 40);
    linears[1].weight = Matrix::Zero(8, 40);  // a whole linear of zeros
    linears[0].weight.row(3).setZero();
    InputMoments moments;
    Matrix x = Matrix::Random(30, 40);
    x.col(5).setZero();
    x.col(6).setConstant(2);
    moments.hessian = test::transposedTimes(x.cast<double>(), x.cast<double>());
    std::vector<std::string> notes;
    const CodedSite coded = codeSite(linears, moments, 3, 2, notes);
    CHECK(coded.codes.size() == 2);
    CHECK(coded.bitsPerWeight > 0);
    CHECK(notes.size() >= 1);
    CalibrateOptions options;
    options.rounding = Rounding::Gptq;
    notes.clear();
    const std::vector<Matrix> weights{linears[0].weight, linears[1].weight};
    const auto codes = roundSite(options, weights, std::vector<float>(40, 1.0f), moments, 2, notes);
    CHECK(codes[0].scales[3] == 0);
    CHECK(codes[1].codes == std::vector<int8_t>(8 * 40));
    CHECK(notes.size() == 1);
    moments.hessian.setZero();  // nothing was seen at all
    CHECK(roundSite(options, weights, std::vector<float>(40, 1.0f), moments, 2, notes).size() == 2);
    CHECK(codeSite(linears, moments, 3, 2, notes).codes.size() == 2);
}

TEST_CASE("rounding: widths that have no Hadamard matrix, of one token and of many, keep their outputs") {
    // 9728 = 512 * 19 and 172 = 4 * 43: no Hadamard matrix has the order of the odd part.
    for (const auto& shape : {std::pair<Eigen::Index, Eigen::Index>{9728, 24}, {9728, 1}, {172, 40}, {172, 1}})
        for (const TransformKind transform :
             {TransformKind::Cat, TransformKind::Hadamard, TransformKind::BlockHadamard}) {
            const Eigen::Index width = shape.first, tokens = shape.second;
            CAPTURE(width);
            CAPTURE(tokens);
            CAPTURE(nameOf(transform));
            CalibrateOptions options;
            options.transform = transform;
            options.block = 64;
            Site floats;
            floats.linears.resize(1);
            floats.linears[0].weight = Matrix::Random(6, width);
            floats.linears[0].weight.row(2).setZero();
            SiteInputs inputs{SecondMoments(width, 64), Matrix::Random(tokens, width)};
            inputs.rows.col(7).setZero();
            inputs.moments.add(inputs.rows);
            SiteWork work(options, floats, inputs, 2);
            Site quantised;
            const SiteReport report = work.finish({}, quantised);
            CHECK(report.after.measured > 10);
            CHECK(std::isfinite(report.attainableBlock));
            const Matrix y = apply(quantised, inputs.rows)[0];
            CHECK(y.allFinite());
            CHECK(y.col(2).cwiseAbs().maxCoeff() == 0);
        }
}

TEST_CASE("estimate: what WaterSIC and mixed bits will write is foretold") {
    for (const Named& recipe : kRecipes) {
        CAPTURE(std::string(recipe.name));
        Workshop shop;
        recipe.set(shop.options);
        const Estimate told = estimate(shop.options);
        calibrate::calibrate(shop.options);
        uint64_t bytes = 0;
        for (const auto& [name, content] : bytesOf(shop.options.outDir)) bytes += content.size();
        CHECK(static_cast<double>(told.outputBytes) > 0.7 * static_cast<double>(bytes));
        CHECK(told.outputBytes < bytes + bytes / 4);
    }
}

TEST_CASE("rounding: work in progress whose manifest lists other sites than the model has is refused, and stays") {
    Workshop shop;
    shop.options.headBits = 4;
    const int status = test::inChild([&] {
        calibrate::calibrate(shop.options, [&](const ProgressUpdate& update) {
            if (update.stage.find("writing") != std::string::npos) ::kill(::getpid(), SIGKILL);
        });
    });
    REQUIRE(status == -SIGKILL);
    const fs::path work = shop.temp / "out.partial", manifest = work / "manifest.json";
    auto json = nlohmann::ordered_json::parse(test::readFile(manifest));
    REQUIRE(json["layers"].size() == 4);
    json["layers"].erase(json["layers"].begin(), json["layers"].begin() + 3);  // the output layer where layer 0 was
    test::writeFile(manifest, json.dump());
    fs::copy_file(work / "layer-0003.safetensors", work / "layer-0000.safetensors", fs::copy_options::overwrite_existing);
    try {
        calibrate::calibrate(shop.options);
        FAIL("the manifest was taken");
    } catch (const Error& error) {
        CHECK(error.code() == Result::InvalidFile);
        CHECK(std::string(error.what()).find("manifest.json") != std::string::npos);
    }
    CHECK(fs::exists(work / "layer-0003.safetensors"));
}
