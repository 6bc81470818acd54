// Second moments and their files: sums that do not depend on threads, shares that add up to the whole, runs that go on
// where they died, and files that nobody should trust.

#include "calibrate/calibrate.h"
#include "calibrate/gather_statistics.h"

#include "base/error.h"

#include "calibrate_workshop.h"
#include "support/dense.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace vulcat;
using namespace vulcat::calibrate;
namespace fs = std::filesystem;

namespace {

Matrix randomRows(test::Rng& rng, Eigen::Index rows, Eigen::Index columns) {
    Matrix m(rows, columns);
    for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(rng.gaussian());
    return m;
}

/// The largest difference of two files' sums, relative to the largest entry; infinity where anything else differs.
double largestDifference(const fs::path& a, const fs::path& b, const format::ModelConfig& config) {
    const StatisticsFile first(a), second(b);
    if (first.keptRows() != second.keptRows() || first.header().rows != second.header().rows)
        return std::numeric_limits<double>::infinity();
    double worst = 0;
    for (int layer = 0; layer <= config.layers; ++layer)
        for (format::SiteKind kind : format::sitesOf(config, layer)) {
            const auto width = static_cast<Eigen::Index>(format::siteWidth(config, kind));
            const SiteStatistics x = first.read(format::siteName(layer, kind), width);
            const SiteStatistics y = second.read(format::siteName(layer, kind), width);
            if (x.rows != y.rows) return std::numeric_limits<double>::infinity();
            const MatrixD p = x.moments.part(0, width), q = y.moments.part(0, width);
            worst = std::max(worst, (p - q).cwiseAbs().maxCoeff() / p.cwiseAbs().maxCoeff());
        }
    return worst;
}

/// A valid file that holds one site of width 3, to be damaged.
struct SmallFile {
    std::map<std::string, std::string> metadata{{"program", "vulcat statistics"},
                                                {"format_version", "1"},
                                                {"model", "0011223344556677"},
                                                {"texts", "8899aabbccddeeff"},
                                                {"tokens", "10"},
                                                {"sequences", "2"},
                                                {"rows", "8"},
                                                {"shares", "0"},
                                                {"share_count", "2"}};
    std::vector<uint64_t> kept{1, 4, 9};
    std::vector<double> sums{2, 0.5, -1, 3, 0.25, 4};
    std::vector<float> rows = std::vector<float>(9, 0.5f);
    uint64_t width = 3;

    void write(const fs::path& file) const {
        using format::DType;
        format::SafetensorsWriter writer(file,
                                         {{"kept_rows", DType::U64, {kept.size()}},
                                          {"s.moments", DType::F64, {sums.size()}},
                                          {"s.rows", DType::F32, {kept.size(), width}}},
                                         metadata);
        writer.write("kept_rows", std::span<const uint64_t>(kept));
        writer.write("s.moments", std::span<const double>(sums));
        writer.write("s.rows", std::span<const float>(rows));
        writer.finish();
    }
};

/// Opens and reads the file; false when it is refused as a bad file.
bool accepted(const fs::path& file) {
    try {
        StatisticsFile(file).read("s", 3);
        return true;
    } catch (const Error& error) {
        CHECK(error.code() == Result::InvalidFile);
        CHECK(std::string(error.what()).find(file.filename().string()) != std::string::npos);
        return false;
    }
}

}  // namespace

TEST_CASE("second moments: right to float's precision, the same bits for any number of threads, packed and back") {
    test::Rng rng(1);
    for (const auto& shape : {std::pair<Eigen::Index, Eigen::Index>{1, 0}, {37, 0}, {700, 0}, {1100, 0}, {172, 64}}) {
        const Eigen::Index width = shape.first, block = shape.second;
        const Matrix x = randomRows(rng, 600, width);
        SecondMoments one(width, block), four(width, block);
        one.add(x, 1);
        four.add(x, 4);
        four.add(Matrix(0, width), 4);
        const std::vector<double> packed = one.packed();
        CHECK(packed == four.packed());
        CHECK(packed.size() == SecondMoments::packedCount(width, block));
        const SecondMoments back = SecondMoments::fromPacked(width, block, one.rows(), packed);
        CHECK(back.rows() == 600);
        const MatrixD exact = test::transposedTimes(x.cast<double>(), x.cast<double>());
        for (Eigen::Index first = 0; first < width; first += one.block()) {
            const Eigen::Index n = std::min(one.block(), width - first);
            const MatrixD part = one.part(first, n);
            CHECK((part - exact.block(first, first, n, n)).cwiseAbs().maxCoeff() < 1e-3);
            CHECK(part == part.transpose());
            CHECK(back.part(first, n) == part);
        }
    }
}

TEST_CASE("statistics: shares merge to what one process gathers, in whatever order they are named") {
    test::Workshop shop;
    const fs::path whole = shop.temp / "whole.safetensors";
    const format::ModelConfig config = format::readModelConfig(shop.options.modelDir);
    const StatisticsHeader header = gatherStatistics(shop.options, {}, whole);
    CHECK(header.complete());
    std::vector<fs::path> parts;
    for (int i = 0; i < 3; ++i) {
        parts.push_back(shop.temp / ("part" + std::to_string(i)));
        shop.options.threads = i + 1;
        CHECK(!gatherStatistics(shop.options, {i, 3}, parts.back()).complete());
    }
    const fs::path merged = shop.temp / "merged", other = shop.temp / "other";
    mergeStatistics(parts, merged, config);
    CHECK(StatisticsFile(merged).header().complete());
    CHECK(largestDifference(whole, merged, config) < 1e-14);
    mergeStatistics({parts[2], parts[0], parts[1]}, other, config);
    CHECK(test::readFile(merged) == test::readFile(other));

    mergeStatistics({parts[2], parts[1]}, other, config);
    CHECK(!StatisticsFile(other).header().complete());
    mergeStatistics({parts[0], other}, shop.temp / "stepwise", config);
    CHECK(largestDifference(whole, shop.temp / "stepwise", config) < 1e-14);

    const auto refused = [&](const std::vector<fs::path>& files) {
        CHECK_THROWS_AS(mergeStatistics(files, shop.temp / "never", config), Error);
        CHECK(!fs::exists(shop.temp / "never"));
    };
    refused({});
    refused({parts[0], parts[0]});
    refused({parts[0], merged});
    refused({parts[0], whole});
    shop.options.texts.seqLen = 32;
    gatherStatistics(shop.options, {1, 3}, shop.temp / "texts");
    refused({parts[0], shop.temp / "texts"});
    CHECK_THROWS_AS(gatherStatistics(shop.options, {3, 3}, shop.temp / "never"), Error);
    CHECK_THROWS_AS(gatherStatistics(shop.options, {0, 100}, shop.temp / "never"), Error);
}

TEST_CASE("statistics: a run that died goes on after its last finished layer and ends with the same bytes") {
    test::Workshop shop;
    const fs::path whole = shop.temp / "whole", resumed = shop.temp / "resumed";
    gatherStatistics(shop.options, {}, whole);
    const int died = test::inChild([&] {
        gatherStatistics(shop.options, {}, resumed, [](const ProgressUpdate& update) {
            if (update.stage.find("layer 3") != std::string::npos) ::_exit(9);
        });
    });
    CHECK(died == 9);
    CHECK(!fs::exists(resumed));
    CHECK(fs::exists(shop.temp / "resumed.layers" / "layer-0001.safetensors"));
    test::writeFile(shop.temp / "resumed.layers" / "layer-0000.safetensors", "damaged");
    gatherStatistics(shop.options, {}, resumed);
    CHECK(test::readFile(whole) == test::readFile(resumed));
    CHECK(!fs::exists(shop.temp / "resumed.layers"));
}

TEST_CASE("statistics: calibrating from a file gives the bytes of calibrating from the texts") {
    test::Workshop shop;
    const fs::path file = shop.temp / "statistics";
    gatherStatistics(shop.options, {}, file);
    shop.options.headBits = 8;
    shop.out("texts");
    calibrate::calibrate(shop.options);
    shop.options.texts.files.clear();
    shop.options.statistics = file;
    shop.out("file");
    const Report report = calibrate::calibrate(shop.options);
    CHECK(report.tokens == StatisticsFile(file).header().tokens);
    CHECK(test::readFile(shop.temp / "texts" / "model.safetensors") ==
          test::readFile(shop.temp / "file" / "model.safetensors"));

    shop.options.targetBits = 6;  // sites are then tried on the rows that the file keeps
    shop.out("target");
    const Report target = calibrate::calibrate(shop.options);
    CHECK(std::any_of(target.sites.begin(), target.sites.end(), [](const SiteReport& s) { return s.weightBits == 8; }));
    CHECK(std::any_of(target.sites.begin(), target.sites.end(), [](const SiteReport& s) { return s.weightBits == 4; }));
    shop.options.targetBits.reset();

    // GPTQ then takes the float stream's Hessian, and says so.
    shop.options.rounding = Rounding::Gptq;
    shop.out("gptq");
    const Report gptq = calibrate::calibrate(shop.options);
    for (const SiteReport& site : gptq.sites)
        CHECK(std::any_of(site.notes.begin(), site.notes.end(), [](const std::string& note) {
            return note.find("float model's inputs") != std::string::npos;
        }));

    gatherStatistics(
        [&] {
            CalibrateOptions options = shop.options;
            options.texts.files = {shop.temp / "text.txt"};
            options.statistics.clear();
            return options;
        }(),
        {0, 2}, shop.temp / "half");
    shop.options.statistics = shop.temp / "half";
    shop.out("never");
    CHECK_THROWS_AS(calibrate::calibrate(shop.options), Error);
    test::Workshop stranger({.seed = 5});
    stranger.options.texts.files.clear();
    stranger.options.statistics = file;
    CHECK_THROWS_AS(calibrate::calibrate(stranger.options), Error);
}

TEST_CASE("statistics: damaged and hostile files are refused by name") {
    const test::TempFolder temp;
    const fs::path file = temp / "some.safetensors";
    SmallFile().write(file);
    CHECK(accepted(file));
    const auto damaged = [&](const std::function<void(SmallFile&)>& damage) {
        SmallFile small;
        damage(small);
        small.write(file);
        CHECK_FALSE(accepted(file));
    };
    for (const auto& [key, value] : SmallFile().metadata) {
        const std::string name = key;
        CAPTURE(name);
        damaged([&](SmallFile& f) { f.metadata.erase(name); });
        if (name != "model" && name != "texts") {
            damaged([&](SmallFile& f) { f.metadata[name] = "-1"; });
            damaged([&](SmallFile& f) { f.metadata[name] = "99999999999999999999"; });
            damaged([&](SmallFile& f) { f.metadata[name] = ""; });
        }
    }
    damaged([](SmallFile& f) { f.metadata["share_count"] = "0"; });
    damaged([](SmallFile& f) { f.metadata["shares"] = "1,0"; });
    damaged([](SmallFile& f) { f.metadata["shares"] = "0,2"; });
    damaged([](SmallFile& f) { f.metadata["shares"] = "0,"; });
    damaged([](SmallFile& f) { f.metadata["rows"] = "11"; });
    damaged([](SmallFile& f) { f.kept = {4, 1, 9}; });
    damaged([](SmallFile& f) { f.kept = {1, 4, 10}; });
    damaged([](SmallFile& f) { f.kept = {1, 1, 9}; });
    damaged([](SmallFile& f) { f.sums.pop_back(); });
    damaged([](SmallFile& f) { f.sums[1] = std::nan(""); });
    damaged([](SmallFile& f) { f.sums[3] = -3; });
    damaged([](SmallFile& f) { f.sums[1] = 100; });
    damaged([](SmallFile& f) { f.rows[4] = std::numeric_limits<float>::infinity(); });
    damaged([](SmallFile& f) {
        f.width = 2;
        f.rows.resize(6);
    });
    test::writeFile(file, std::string(200, 'x'));
    CHECK_FALSE(accepted(file));
    SmallFile().write(file);
    try {
        StatisticsFile(file).read("lm_head", 3);
        FAIL("a file without the site was read");
    } catch (const Error& error) {
        const std::string text = error.what();
        CHECK(text.find("'lm_head'") != std::string::npos);
        CHECK(text.find("gather the statistics again") != std::string::npos);
    }
}
