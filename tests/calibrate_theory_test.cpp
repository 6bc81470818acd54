// The theory that calibration rests on, checked on synthetic layers: optimality of the alignment transform, prediction
// against measurement, order of the two steps, and input that leaves nothing to align.

#include "calibrate/cat.h"
#include "calibrate/rounding.h"
#include "calibrate/sqnr.h"
#include "calibrate/transforms.h"

#include "format/linear_reference.h"

#include "support/dense.h"
#include "support/rng.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace vulcat;
using namespace vulcat::calibrate;
using test::inverse;
using test::times;

namespace {

enum class Kind { Gaussian, Laplace };

MatrixD randomMatrix(test::Rng& rng, Eigen::Index rows, Eigen::Index columns, Kind kind = Kind::Gaussian) {
    MatrixD m(rows, columns);
    for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = kind == Kind::Gaussian ? rng.gaussian() : rng.laplace();
    return m;
}

/// Rows whose covariance has an exponential spectrum in a random basis.
Matrix correlated(test::Rng& rng, Eigen::Index rows, Eigen::Index columns, double decay, Kind kind = Kind::Gaussian) {
    MatrixD mix = randomMatrix(rng, columns, columns) / std::sqrt(static_cast<double>(columns));
    for (Eigen::Index c = 0; c < columns; ++c) mix.row(c) *= std::exp(-static_cast<double>(c) / decay) + 0.03;
    return times(randomMatrix(rng, rows, columns, kind), mix).cast<float>();
}

MatrixD positive(test::Rng& rng, Eigen::Index n) {
    const MatrixD a = randomMatrix(rng, n, 2 * n);
    return test::timesTransposed(a, a) / static_cast<double>(n) + 1e-3 * MatrixD::Identity(n, n);
}

/// tr(P Sx) tr(P^-1 Sw), which the best transform minimises.
double objective(const MatrixD& p, const MatrixD& sx, const MatrixD& sw) {
    return p.cwiseProduct(sx).sum() * inverse(p).cwiseProduct(sw).sum();  // all symmetric
}

struct SampleLayer {
    Matrix x;  ///< calibration and judged rows
    std::vector<Linear> linears;
    SecondMoments moments, weights;

    SampleLayer(Matrix rows, Matrix weight, Eigen::Index block = 0)
        : x(std::move(rows)), moments(x.cols(), block), weights(x.cols(), block) {
        linears.emplace_back();
        linears.back().weight = std::move(weight);
        moments.add(x);
        weights.add(linears.back().weight);
    }
};

struct Grid {
    int weightBits = 4, activationBits = 4;
    bool symmetric = false;
    int groupSize = 0;
    format::ScaleSearch scales = format::ScaleSearch::AbsMax;
};

SiteQuality judge(const SampleLayer& layer, const std::optional<format::Transform>& transform, const Grid& grid = {}) {
    std::vector<Matrix> weights{layer.linears[0].weight};
    if (transform) weights[0] = transformWeights(*transform, weights[0], 2);
    Site site;
    site.recipe.weightBits = grid.weightBits;
    site.recipe.activationBits = grid.activationBits;
    site.recipe.activationSymmetric = grid.symmetric;
    site.recipe.groupSize = grid.groupSize;
    site.transform = transform;
    site.linears.emplace_back();
    site.linears[0].codes = roundWeights(weights[0], grid.weightBits, grid.groupSize, grid.scales, 2);
    return judgeSite(site, layer.linears, weights, layer.x);
}

double relativeDifference(const Matrix& a, const Matrix& b) {
    return static_cast<double>((a - b).norm()) / std::max(1e-30, static_cast<double>(b.norm()));
}

}  // namespace

TEST_CASE("geometric mean: symmetric, solves P A^-1 P = B, and inverts with its arguments") {
    test::Rng rng(1);
    for (Eigen::Index n : {1, 2, 7, 16}) {
        const MatrixD a = positive(rng, n), b = positive(rng, n), p = geometricMean(a, b);
        CHECK((p - geometricMean(b, a)).norm() < 1e-9 * p.norm());
        CHECK((times(times(p, inverse(a)), p) - b).norm() < 1e-8 * b.norm());
        CHECK((geometricMean(inverse(a), inverse(b)) - inverse(p)).norm() < 1e-8 * inverse(p).norm());
    }
}

TEST_CASE("alignment: the undamped transform reaches the attainable maximum to 1e-9 and balances both moments") {
    test::Rng rng(2);
    for (Eigen::Index n : {2, 8, 24}) {
        const MatrixD sx = positive(rng, n), sw = positive(rng, n);
        std::vector<std::string> notes;
        const MatrixD m = alignmentTransform(sx, sw, sx.trace() / static_cast<double>(n),
                                             sw.trace() / static_cast<double>(n), AlignmentDamping{0, 0}, notes);
        const double best = std::pow(alignmentRoots(sx, sw), 2);
        CHECK(notes.empty());
        CHECK(std::fabs(objective(times(m, m), sx, sw) / best - 1) < 1e-9);
        const MatrixD inputs = times(times(m, sx), m), back = inverse(m);
        CHECK((inputs - times(times(back, sw), back)).norm() < 1e-8 * inputs.norm());
    }
}

TEST_CASE("alignment: no block-diagonal transform does better than the blocks' geometric means") {
    test::Rng rng(3);
    constexpr Eigen::Index n = 24, k = 8;
    const MatrixD sx = positive(rng, n), sw = positive(rng, n);
    MatrixD p = MatrixD::Zero(n, n);
    double roots = 0;
    for (Eigen::Index first = 0; first < n; first += k) {
        const MatrixD x = sx.block(first, first, k, k), w = sw.block(first, first, k, k);
        p.block(first, first, k, k) = geometricMean(w, inverse(x));
        roots += alignmentRoots(x, w);
    }
    const double best = objective(p, sx, sw);
    CHECK(std::fabs(best / (roots * roots) - 1) < 1e-9);
    for (int trial = 0; trial < 2000; ++trial) {  // steps of several sizes in random directions inside the class
        MatrixD step = MatrixD::Zero(n, n);
        for (Eigen::Index first = 0; first < n; first += k) {
            const MatrixD r = randomMatrix(rng, k, k);
            step.block(first, first, k, k) = r + r.transpose();
        }
        const MatrixD other = p + std::pow(10.0, -1 - trial % 5) * p.norm() / step.norm() * step;
        if (!test::lowerFactor(other).allFinite()) continue;
        CHECK(objective(other, sx, sw) >= best * (1 - 1e-12));
    }
}

TEST_CASE("transform: the layer's function survives, W T^-1 (T x) = W x, for whole and ragged widths") {
    test::Rng rng(4);
    for (const auto& shape : {std::pair<Eigen::Index, Eigen::Index>{64, 16},
                              {64, 64},
                              {96, 48},
                              {172, 64},
                              {172, 16},
                              {40, 128},
                              {1, 16},
                              {33, 32}}) {
        const Eigen::Index width = shape.first, block = shape.second;
        const SampleLayer layer(correlated(rng, 200, width, 20), correlated(rng, 30, width, 30), block);
        const SiteTransform cat = catTransform(layer.moments, layer.weights, block, AlignmentDamping{}, 2);
        REQUIRE(cat.stored);
        const Matrix y = multiplyTransposed(layer.x, layer.linears[0].weight);
        const auto kept = [&](const format::Transform& t) {
            return relativeDifference(
                multiplyTransposed(applyTransform(t, layer.x), transformWeights(t, layer.linears[0].weight, 1)), y);
        };
        CAPTURE(width);
        CAPTURE(block);
        CHECK(kept(*cat.stored) < 1e-5);
        if (const SiteTransform hadamard = hadamardTransform(width); hadamard.stored)
            CHECK(kept(*hadamard.stored) < 1e-5);
    }
}

TEST_CASE("transform: rows of several at once equal the contract's row by row") {
    test::Rng rng(5);
    const SampleLayer layer(correlated(rng, 20, 172, 20), correlated(rng, 30, 172, 30), 64);
    const format::Transform t = *catTransform(layer.moments, layer.weights, 64, AlignmentDamping{}, 1).stored;
    Matrix expected = layer.x;
    for (Eigen::Index r = 0; r < expected.rows(); ++r) format::applyTransform<float>(t, {expected.row(r).data(), 172});
    CHECK(relativeDifference(applyTransform(t, layer.x), expected) < 1e-6);
}

TEST_CASE(
    "SQNR: prediction is within 0.3 dB of measurement on Gaussian and Laplace layers at 4 and 8 bits, clipped grids "
    "0.5") {
    for (const Kind kind : {Kind::Gaussian, Kind::Laplace})
        for (const Grid& grid : {Grid{4, 4, false}, Grid{4, 4, true}, Grid{4, 8}, Grid{8, 8}, Grid{4, 16},
                                 Grid{4, 4, false, 64}, Grid{4, 4, false, 0, format::ScaleSearch::Mse}}) {
            test::Rng rng(6);
            const SampleLayer layer(correlated(rng, 1024, 512, 60, kind), correlated(rng, 384, 512, 150));
            for (const bool transformed : {false, true}) {
                std::optional<format::Transform> t;
                if (transformed) t = catTransform(layer.moments, layer.weights, 64, AlignmentDamping{}, 2).stored;
                const SiteQuality q = judge(layer, t, grid);
                const std::string name = std::string(kind == Kind::Gaussian ? "Gaussian w" : "Laplace w") +
                                         std::to_string(grid.weightBits) + "a" + std::to_string(grid.activationBits) +
                                         (grid.symmetric ? " symmetric" : "") + (grid.groupSize != 0 ? " groups" : "") +
                                         (grid.scales == format::ScaleSearch::Mse ? " searched" : "") +
                                         (transformed ? " CAT" : "");
                MESSAGE(name << ": predicted " << q.predicted << " dB, measured " << q.measured);
                CHECK(std::fabs(q.predicted - q.measured) < (grid.scales == format::ScaleSearch::Mse ? 0.5 : 0.3));
            }
        }
}

TEST_CASE("order: aligning first and mixing then beats mixing first") {
    test::Rng rng(7);
    constexpr Eigen::Index n = 256, k = 32;
    Matrix x = correlated(rng, 2048, n, 40);
    for (Eigen::Index c : {5, 77, 130, 200}) x.col(c) *= 12.0f;
    const SampleLayer layer(x, correlated(rng, 256, n, 60), k);
    const double none = judge(layer, std::nullopt).measured;
    const double hadamard = judge(layer, *hadamardTransform(n).stored).measured;
    const double right =
        judge(layer, *catTransform(layer.moments, layer.weights, k, AlignmentDamping{}, 2).stored).measured;
    // The wrong order as two steps: rotate the layer, then align the rotated one without a mix after it.
    const format::Transform mix = *hadamardTransform(n).stored;
    const SampleLayer rotated(applyTransform(mix, layer.x), transformWeights(mix, layer.linears[0].weight, 1), k);
    format::Transform blocks = *catTransform(rotated.moments, rotated.weights, k, AlignmentDamping{}, 2).stored;
    format::Transform inner;  // takes the Hadamard that is merged into each block back out: it is its own inverse
    inner.width = static_cast<uint64_t>(n);
    format::setMix(inner, static_cast<uint64_t>(n), 1);
    blocks.mixOrder = 1;
    blocks.mixCore = 1;
    blocks.mixMatrix.clear();
    const double wrong = judge(rotated, blocks).measured;
    MESSAGE("dB: none " << none << ", Hadamard " << hadamard << ", Hadamard then CAT " << wrong
                        << ", CAT then Hadamard " << right);
    CHECK(hadamard > none);
    CHECK(right > hadamard);
    CHECK(right > wrong + 0.2);
}

TEST_CASE("degenerate input: nothing aborts, outputs stay finite, and the notes say what was done") {
    test::Rng rng(8);
    constexpr Eigen::Index n = 48;
    const auto survives = [&](const std::string& name, const Matrix& x, const Matrix& w, bool noted) {
        CAPTURE(name);
        const SampleLayer layer(x, w, 16);
        const SiteTransform cat = catTransform(layer.moments, layer.weights, 16, AlignmentDamping{}, 2);
        REQUIRE(cat.stored);
        CHECK(applyTransform(*cat.stored, x).allFinite());
        CHECK(transformWeights(*cat.stored, w, 1).allFinite());
        const SiteQuality q = judge(layer, cat.stored);
        for (double v : {q.predicted, q.measured, q.alignment, q.concentrationX, q.concentrationW})
            CHECK(std::isfinite(v));
        CHECK(std::isfinite(attainableAlignment(layer.moments, layer.weights, 16, 1.0, 1)));
        CHECK(cat.notes.empty() == !noted);
    };
    const Matrix x = correlated(rng, 300, n, 20), w = correlated(rng, 20, n, 20);
    survives("one token", x.topRows(1), w, false);
    survives("constant inputs", Matrix::Constant(50, n, 3.0f), w, false);
    survives("no input at all", Matrix::Zero(50, n), w, true);
    survives("no weights at all", x, Matrix::Zero(20, n), true);
    Matrix dead = x;
    dead.middleCols(16, 16).setZero();
    dead.col(3).setZero();
    survives("dead channels", dead, w, true);
    Matrix zeroRows = w;
    zeroRows.middleRows(2, 5).setZero();
    zeroRows.col(7).setZero();
    survives("zero weight rows", x, zeroRows, false);
    survives("rank one", x.col(0) * x.row(0), w.col(0) * w.row(0), false);
    survives("tiny numbers", x * 1e-18f, w * 1e-12f, false);
    survives("huge numbers", x * 1e12f, w * 1e5f, false);
    Matrix outlier = x;
    outlier.col(9) *= 1e3f;
    survives("a huge outlier channel", outlier, w, false);
}

TEST_CASE("kept rows: distinct, ascending, inside, reproducible, all of them when few") {
    const auto rows = chooseRows(10000, 512, 7);
    CHECK(rows.size() == 512);
    for (size_t i = 1; i < rows.size(); ++i) CHECK(rows[i - 1] < rows[i]);
    CHECK(rows.back() < 10000);
    CHECK(rows == chooseRows(10000, 512, 7));
    CHECK(rows != chooseRows(10000, 512, 8));
    CHECK(chooseRows(3, 512, 1) == std::vector<uint64_t>{0, 1, 2});
    CHECK(chooseRows(0, 512, 1).empty());
}

TEST_CASE("integer linear: SGEMM in exact pieces equals the contract's reference bit for bit") {
    test::Rng rng(9);
    for (int trial = 0; trial < 60; ++trial) {
        const auto M = rng.integer(1, 6), N = rng.integer(1, 40), K = rng.integer(1, 300);
        const int bits = rng.integer(0, 1) != 0 ? 4 : 8;
        const int group = trial % 3 == 0 ? 0 : (trial % 3 == 1 ? 32 : 128);
        const auto kind = static_cast<format::ActivationFormat>(rng.integer(0, 2));
        const auto x = rng.gaussians(static_cast<size_t>(M * K)), bias = rng.gaussians(static_cast<size_t>(N));
        const Matrix w = correlated(rng, N, K, 50);
        const auto q = roundWeights(w, bits, group, format::ScaleSearch::AbsMax, 1);
        const auto rows = format::quantiseRows(x, static_cast<uint64_t>(M), static_cast<uint64_t>(K), kind);
        const Matrix y = integerProduct(q, rows, bias);
        const auto expected = format::integerLinear(q, rows, bias);
        CHECK(std::equal(expected.begin(), expected.end(), y.data()));
    }
}
