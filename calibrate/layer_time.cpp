#include "calibrate/layer_time.h"

#include "calibrate/coded_site.h"
#include "calibrate/gram.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/rounding.h"
#include "calibrate/site.h"

#include "format/names.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <random>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;
using format::SiteKind;

/// Hours of work run slower than the best of two short runs: clocks sink, and whatever else the machine does takes its
/// part. 16 layers of Llama-3.2-1B's shapes took 1.15 times what the short runs said.
constexpr double kSustained = 1.2;

/// The best of two, which the rest of the machine disturbs least.
double secondsOf(const std::function<void()>& work) {
    double best = INFINITY;
    for (int i = 0; i < 2; ++i) {
        const auto start = std::chrono::steady_clock::now();
        work();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return std::max(best, 1e-9);
}

Matrix randomMatrix(Index rows, Index columns) {
    std::minstd_rand source(static_cast<unsigned>(rows * 31 + columns));
    std::normal_distribution<float> normal;
    Matrix m(rows, columns);
    for (Index i = 0; i < m.size(); ++i) m.data()[i] = normal(source);
    return m;
}

/// Work in a second, on all threads together.
struct Speeds {
    double floats = 0;    ///< operations of float products in the shape of a sequence
    double integers = 0;  ///< of the same with codes
    double sums = 0;      ///< of products added up in double
    double nearest = 0;   ///< weights rounded to nearest
};

Speeds measureSpeeds(const CalibrateOptions& options, const format::ModelConfig& config, Index rows, int threads) {
    const Index K = std::min(config.hiddenSize, 2048), N = std::min(config.intermediateSize, 4096);
    const Matrix x = randomMatrix(rows, K), w = randomMatrix(N, K);
    const auto format = format::activationFormat(options.activationBits == 4 ? 4 : 8, false);
    const format::QuantisedRows codes = format::quantiseRows(
        {x.data(), static_cast<size_t>(x.size())}, static_cast<uint64_t>(rows), static_cast<uint64_t>(K), format);
    format::QuantisedMatrix weights;
    Speeds speeds;
    const double operations = 2.0 * static_cast<double>(rows) * static_cast<double>(K);
    const auto all = static_cast<double>(threads);
    speeds.nearest = static_cast<double>(w.size()) / secondsOf([&] {
                         weights = roundWeights(w, options.weightBits, options.groupSize, options.scales, threads);
                     });
    const auto onEach = [&](const std::function<void()>& work) {
        return secondsOf([&] { parallelFor(static_cast<size_t>(threads), threads, [&](size_t) { work(); }); });
    };
    speeds.floats = all * operations * static_cast<double>(N) / onEach([&] { multiplyTransposed(x, w); });
    speeds.integers = all * operations * static_cast<double>(N) / onEach([&] { integerProduct(weights, codes, {}); });
    MatrixD sum = MatrixD::Zero(K, K);
    speeds.sums = operations * static_cast<double>(K) / secondsOf([&] { addProduct(sum, x, x, threads); });
    return speeds;
}

/// What rounding one site beyond nearest takes.
struct RoundingTime {
    double cube = 0, square = 0, weight = 0;  ///< seconds for each of K^3, N K^2 and N K
    double seconds(double N, double K) const { return cube * K * K * K + N * K * (square * K + weight); }
};

double roundingSeconds(const CalibrateOptions& options, Index N, Index K, int threads) {
    Linear linear;
    linear.weight = randomMatrix(N, K);
    const Matrix x = randomMatrix(2 * K, K);
    InputMoments moments{MatrixD::Zero(K, K), MatrixD::Zero(K, K)};
    addGram(moments.hessian, x, threads);
    mirrorLower(moments.hessian);
    std::vector<std::string> notes;
    const std::vector<Matrix> weights{linear.weight};
    return secondsOf([&] {
        if (options.rounding == Rounding::WaterSic) {
            codeSite({linear}, moments, options.rate, threads, notes);
        } else {
            roundSite(options, weights, {}, moments, threads, notes);
        }
    });
}

RoundingTime measureRounding(const CalibrateOptions& options, const format::ModelConfig& config, int threads) {
    if (!heedsStream(options)) return {};
    // Enough rows for all threads to have work; many threads need only be measured in part.
    const int used = std::min(threads, 8);
    const Index few = 256 * used, many = 3 * few;
    const Index wide = std::min(std::max(config.hiddenSize, config.intermediateSize), 1536), narrow = (wide + 2) / 3;
    const double share = static_cast<double>(used) / threads;
    const auto time = [&](Index N, Index K) { return share * roundingSeconds(options, N, K, used); };
    const double base = time(few, wide);
    const auto rows = static_cast<double>(few), K = static_cast<double>(wide), k = static_cast<double>(narrow);
    // Seconds a row: square K^2 + weight K.
    const double wideRow = std::max(time(many, wide) - base, 0.0) / (2 * rows);
    const double narrowRow = std::max(time(many, narrow) - time(few, narrow), 0.0) / (2 * rows);
    RoundingTime result;
    result.cube = std::max(base - rows * wideRow, 0.0) / (K * K * K);
    result.square = std::max(wideRow / K - narrowRow / k, 0.0) / (K - k);
    result.weight = std::max(wideRow / K - result.square * K, 0.0);
    return result;
}

struct SiteShape {
    double inputs = 0, weights = 0, block = 0, moments = 0;  ///< K, N K, widths of transform and kept moments
    bool related = false;                                    ///< the order of its inputs looks at all their pairs
};

SiteShape shapeOf(const CalibrateOptions& options, const format::ModelConfig& config, SiteKind kind) {
    SiteShape shape;
    const auto width = static_cast<int64_t>(format::siteWidth(config, kind));
    shape.inputs = static_cast<double>(width);
    for (const format::LinearInfo& linear : format::siteLinears(config, 0, kind))
        shape.weights += static_cast<double>(linear.rows) * shape.inputs;
    const int64_t block = momentBlock(options, width);
    shape.moments = static_cast<double>(block > 0 ? block : width);
    const Permute permute = kind == SiteKind::Down ? options.permute : options.permuteResidual;
    shape.related = permute == Permute::Cat && kind != SiteKind::O && blockOf(options, width) < width;
    if (options.transform != TransformKind::None) shape.block = static_cast<double>(blockOf(options, width));
    return shape;
}

/// Times that the sequences pass a site's linears: the float stream ahead, then both streams up to each site
/// (calibrate/ stream.h), the quantised one once more on its way out.
struct Passes {
    double floats, integers;
};

Passes passesOf(const CalibrateOptions& options, SiteKind kind) {
    if (kind == SiteKind::Head) return {0, 0};
    if (!heedsStream(options)) return {1, 0};
    return {kind == SiteKind::Down ? 1.0 : 2.0, kind == SiteKind::GateUp ? 2.0 : 1.0};
}

double streamSeconds(const CalibrateOptions& options, const SiteShape& site, const Passes& passes, double tokens,
                     const Speeds& speeds) {
    double seconds = 2.0 * tokens * site.weights * (passes.floats / speeds.floats + passes.integers / speeds.integers);
    seconds += tokens * site.inputs * site.moments / speeds.floats;
    seconds += 2.0 * tokens * site.inputs * site.block * (passes.integers + 1) / speeds.floats;
    if (heedsStream(options)) seconds += 3.0 * tokens * site.inputs * site.inputs / speeds.sums;
    return seconds;
}

/// Transform, the same weights rounded to nearest for comparison, and what the report measures of each of them.
constexpr double kAffinityCubes = 140;  // measured from K = 512 to 2048

double siteSeconds(const CalibrateOptions& options, const SiteShape& site, double rows, const Speeds& speeds,
                   double threads) {
    const bool blocks = options.transform == TransformKind::Cat;
    const double nearest =
        1.0 + (blocks ? 1 : 0) + (heedsStream(options) && options.transform == TransformKind::None ? 0 : 1);
    const double judged = nearest + (heedsStream(options) ? 1 : 0);
    double seconds = nearest * site.weights / speeds.nearest;
    seconds += 2.0 * rows * site.weights * ((judged + 1) / speeds.floats + judged / speeds.integers);
    // W T^-1 in double, at half the speed; W^T W; the geometric mean and the alignment's roots, some ninety products.
    seconds += (8.0 * site.weights * site.block + site.weights * site.moments) / speeds.floats;
    if (site.related) seconds += kAffinityCubes * std::pow(site.inputs, 3) / speeds.floats;
    if (blocks) seconds += 180.0 * site.inputs * site.block * site.block / speeds.floats;
    if (site.moments == site.inputs && site.inputs <= kWholeMomentsWidth)
        seconds += threads * 60.0 * std::pow(site.inputs, 3) / speeds.floats;
    return seconds;
}

}  // namespace

double workSeconds(const CalibrateOptions& options, const format::ModelConfig& config,
                   std::span<const Sequence> sequences, int threads) {
    double tokens = 0, attention = 0;
    for (const Sequence& sequence : sequences) {
        const auto n = static_cast<double>(sequence.size());
        tokens += n;
        attention += 2.0 * n * n * config.heads * config.headDim;
    }
    const SerialBlas serial;
    const auto length = static_cast<Index>(tokens / static_cast<double>(std::max<size_t>(sequences.size(), 1)));
    const Speeds speeds = measureSpeeds(options, config, std::clamp<Index>(length, 1, 512), threads);
    const RoundingTime rounding = measureRounding(options, config, threads);
    const double rows = std::min(tokens, static_cast<double>(kKeptRows));
    const auto siteWork = [&](const CalibrateOptions& recipe, SiteKind kind) {
        const SiteShape site = shapeOf(recipe, config, kind);
        const double seconds = streamSeconds(recipe, site, passesOf(recipe, kind), tokens, speeds) +
                               siteSeconds(recipe, site, rows, speeds, static_cast<double>(threads));
        return heedsStream(recipe) ? seconds + rounding.seconds(site.weights / site.inputs, site.inputs) : seconds;
    };
    double layer = (heedsStream(options) ? 3.0 : 1.0) * attention / speeds.floats;
    for (SiteKind kind : format::kSites) layer += siteWork(options, kind);
    const double head = options.headBits == 16 ? 0 : siteWork(headOptions(options), SiteKind::Head);
    return kSustained * (config.layers * layer + head);
}

}  // namespace vulcat::calibrate
