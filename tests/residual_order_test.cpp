// The order of the residual stream's channels: exact in every tensor it touches, kept through files, biases, separate
// heads, statistics and kills.
#include "calibrate/residual_order.h"
#include "calibrate/calibrate.h"
#include "calibrate/gather_statistics.h"

#include "calibrate_workshop.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

using namespace vulcat;
using namespace vulcat::calibrate;
using test::Workshop;

namespace {

const std::vector<int32_t> kTokens = {1, 70, 33, 120, 5, 90, 91, 2};

/// Everything that a folder may hold of the residual stream: biases, a head of its own.
test::ModelRecipe everything() {
    test::ModelRecipe recipe;
    recipe.tied = false;
    recipe.attentionBias = true;
    recipe.mlpBias = true;
    return recipe;
}

/// Eight bits, nothing before them: the codes of a permuted row are its codes permuted.
void codeOnly(CalibrateOptions& options) {
    options.transform = TransformKind::None;
    options.weightBits = 8;
    options.activationBits = 8;
    options.headBits = 8;
    options.block = 16;
}

float largestDifference(const Matrix& a, const Matrix& b) {
    return (a - b).cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("residual order: any order leaves the logits as they are") {
    for (const test::ModelRecipe& recipe : {test::ModelRecipe{}, everything()}) {
        Workshop shop(recipe);
        Decoder decoder(shop.options.modelDir);
        const Matrix natural = decoder.forward(kTokens), embedded = decoder.embed(kTokens);
        ColumnOrder order = naturalOrder(decoder.config().hiddenSize);
        std::reverse(order.begin(), order.end());
        std::swap(order[3], order[17]);
        decoder.orderResidual(order);
        CHECK(largestDifference(decoder.embed(kTokens), columnsInOrder(embedded, order)) == 0);
        CHECK(largestDifference(decoder.embed(kTokens), embedded) > 0);
        CHECK(largestDifference(decoder.forward(kTokens), natural) < 1e-4f);
        decoder.orderResidual({});
        CHECK(largestDifference(decoder.forward(kTokens), natural) == 0);
        CHECK(inverseOrder(inverseOrder(order)) == order);
        CHECK(columnsInOrder(columnsInOrder(embedded, order), inverseOrder(order)) == embedded);
    }
}

TEST_CASE("residual order: folders in another order give the same logits") {
    for (const test::ModelRecipe& recipe : {test::ModelRecipe{}, everything()})
        for (const Permute permute : {Permute::Mass, Permute::Cat}) {
            CAPTURE(nameOf(permute));
            Workshop shop(recipe);
            codeOnly(shop.options);
            shop.out("natural");
            calibrate::calibrate(shop.options);
            shop.options.permuteResidual = permute;
            shop.out("ordered");
            const Report report = calibrate::calibrate(shop.options);
            const Decoder natural(shop.temp / "natural"), ordered(shop.temp / "ordered");
            CHECK(largestDifference(natural.embed(kTokens), ordered.embed(kTokens)) > 0);
            // Sums of the norms differ by their order, so that a code may round to its neighbour.
            CHECK(largestDifference(natural.forward(kTokens), ordered.forward(kTokens)) < 0.02f);
            for (const SiteReport& site : report.sites) {
                const bool reads =
                    site.site.ends_with("qkv") || site.site.ends_with("gate_up") || site.site == "lm_head";
                CHECK(site.permutation == (reads ? nameOf(permute) : "none"));
                CHECK(site.massBefore.size() == (reads ? 3u : 0u));
                CHECK(site.massAfter.size() == site.massBefore.size());
            }
        }
}

TEST_CASE("residual order: mass diffusion evens out the blocks of a stream with loud channels") {
    Workshop shop;
    codeOnly(shop.options);
    shop.options.permuteResidual = Permute::Mass;
    const Decoder decoder(shop.options.modelDir);
    const TrialRows loud = [&](int, const Layer&) {
        std::vector<Matrix> rows(format::kSites.size(), Matrix::Random(20, decoder.config().hiddenSize));
        for (Matrix& x : rows) x.leftCols(16) *= 30;
        return rows;
    };
    const ColumnOrder order = residualOrder(shop.options, decoder, loud, 2);
    REQUIRE(order.size() == 48);
    Matrix rows = loud(0, {})[0];
    const OrderedChannels judged = judgeResidualOrder(shop.options, order, columnsInOrder(rows, order));
    const auto fullest = [](const std::vector<float>& m) { return *std::max_element(m.begin(), m.end()); };
    CHECK(fullest(judged.massBefore) > 2.5f);
    CHECK(fullest(judged.massAfter) < 1.2f);
    shop.options.block = 64;  // one block: nothing to even out, and the report says so
    CHECK(residualOrder(shop.options, decoder, loud, 2).empty());
    const Report report = calibrate::calibrate(shop.options);
    REQUIRE(!report.sites[0].notes.empty());
    CHECK(report.sites[0].notes.back().find("keeps its order") != std::string::npos);
    CHECK(report.sites[0].permutation == "none");
}

TEST_CASE("residual order: killed at any moment, and from statistics, it ends as it should") {
    Workshop shop(everything());
    shop.options.block = 16;
    shop.options.rounding = Rounding::Gptq;
    shop.options.permuteResidual = Permute::Cat;
    shop.options.permute = Permute::Mass;
    int calls = 0;
    shop.out("whole");
    calibrate::calibrate(shop.options, [&](const ProgressUpdate&) { ++calls; });
    const auto expected = test::bytesOf(shop.temp / "whole");
    shop.options.threads = 3;
    for (const int last : {1, calls / 2}) {
        shop.out("killed");
        const int status = test::inChild([&] {
            int seen = 0;
            calibrate::calibrate(shop.options, [&](const ProgressUpdate&) {
                if (++seen == last) ::kill(::getpid(), SIGKILL);
            });
        });
        CHECK(status == -SIGKILL);
    }
    calibrate::calibrate(shop.options);
    CHECK(test::bytesOf(shop.temp / "killed") == expected);

    gatherStatistics(shop.options, {}, shop.temp / "statistics");
    codeOnly(shop.options);
    shop.options.rounding = Rounding::Nearest;
    shop.options.permute = Permute::None;
    shop.options.texts.files.clear();
    shop.options.statistics = shop.temp / "statistics";
    shop.out("ordered");
    calibrate::calibrate(shop.options);
    shop.options.permuteResidual = Permute::None;
    shop.out("natural");
    calibrate::calibrate(shop.options);
    const Decoder natural(shop.temp / "natural"), ordered(shop.temp / "ordered");
    CHECK(largestDifference(natural.forward(kTokens), ordered.forward(kTokens)) < 0.02f);
}
