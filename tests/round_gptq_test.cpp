// GPTQ: the paper's algorithm, its theory, its independence of blocking and threads, and inputs nobody wants.
#include "calibrate/descent.h"
#include "calibrate/gptq.h"

#include "round_support.h"

#include "base/error.h"
#include "format/quantise.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace {

using namespace vulcat::calibrate;
using namespace vulcat::test;
namespace format = vulcat::format;

std::vector<float> uniformScales(const Matrix& w, float step, Index groups = 1) {
    return std::vector<float>(static_cast<size_t>(w.rows() * groups), step);
}

GptqOptions unclipped() {
    GptqOptions options;
    options.damping = 0;
    options.lowest = -kUnclipped;
    options.highest = kUnclipped;
    return options;
}

CodeMatrix reversedColumns(const CodeMatrix& codes) {
    return codes.rowwise().reverse();
}

TEST_CASE(
    "without clipping GPTQ is the paper's algorithm and successive cancellation with uniform steps, code for code") {
    Rng rng(1);
    const float step = 0.3f;
    for (const NamedCovariance& covariance : covariances(rng, 160)) {
        CAPTURE(covariance.name);
        const Matrix w = gaussianMatrix(rng, 70, 160);
        const CodeMatrix codes = gptq(w, covariance.matrix, uniformScales(w, step), 0, unclipped()).codes;
        CHECK(codes == gptqPlainly(w, covariance.matrix, static_cast<double>(step)));
        const MatrixD reversed = covariance.matrix.reverse();
        const Eigen::VectorXd steps = Eigen::VectorXd::Constant(160, static_cast<double>(step));
        const Cancelled plain = cancelPlainly(w.rowwise().reverse(), reversed, steps, false);
        CHECK(reversedColumns(codes) == plain.codes);
    }
}

TEST_CASE("lazy blocks, threads and pieces of rows do not change a code") {
    Rng rng(2);
    const Matrix w = gaussianMatrix(rng, 300, 200);
    const MatrixD h = covariances(rng, 200)[2].matrix;
    const std::vector<float> scales = uniformScales(w, 0.5f, 7);
    GptqOptions options;
    options.threads = 1;
    const CodeMatrix codes = gptq(w, h, scales, 32, options).codes;
    for (const Index block : {1, 7, 16, 40, 128, 1000}) {
        options.block = block;
        CHECK(gptq(w, h, scales, 32, options).codes == codes);
    }
    options = {};
    for (const int threads : {2, 3, 8}) {
        options.threads = threads;
        CHECK(gptq(w, h, scales, 32, options).codes == codes);
    }
}

TEST_CASE("act-order is GPTQ of the columns sorted by their Hessian, groups staying with their columns") {
    Rng rng(3);
    const Index n = 96;
    const Matrix w = gaussianMatrix(rng, 40, n);
    const MatrixD h = covariances(rng, n)[2].matrix;
    std::vector<float> scales(40 * 3);
    for (float& scale : scales) scale = static_cast<float>(rng.uniform(0.1, 0.6));
    GptqOptions options;
    options.actOrder = true;
    const CodeMatrix codes = gptq(w, h, scales, 32, options).codes;

    const ColumnOrder order = descendingOrder(h.diagonal());
    Matrix sorted(40, n);
    std::vector<float> columnScales(static_cast<size_t>(40 * n));
    for (Index i = 0; i < n; ++i)
        for (Index r = 0; r < 40; ++r) {
            const Index column = order[static_cast<size_t>(i)];
            sorted(r, i) = w(r, column);
            columnScales[static_cast<size_t>(r * n + i)] = scales[static_cast<size_t>(r * 3 + column / 32)];
        }
    const CodeMatrix expected = gptq(sorted, reordered(h, order), columnScales, 1).codes;
    for (Index i = 0; i < n; ++i) CHECK(codes.col(order[static_cast<size_t>(i)]) == expected.col(i));
}

TEST_CASE("on a 4-bit grid GPTQ stays in range and beats nearest rounding of the same scales") {
    Rng rng(4);
    for (const NamedCovariance& covariance : covariances(rng, 128)) {
        CAPTURE(covariance.name);
        const Matrix w = gaussianMatrix(rng, 64, 128);
        for (const uint64_t group : {uint64_t{0}, uint64_t{32}}) {
            format::QuantisedMatrix matrix = format::quantiseWeights({w.data(), static_cast<size_t>(w.size())}, 64, 128,
                                                                     4, group, format::ScaleSearch::Mse);
            const auto error = [&] {
                const std::vector<float> back = matrix.dequantised();
                return distortion(w, Eigen::Map<const Matrix>(back.data(), 64, 128), covariance.matrix);
            };
            const double nearest = error();
            const GptqResult result = gptq(w, covariance.matrix, matrix);
            CHECK(*std::min_element(matrix.codes.begin(), matrix.codes.end()) >= -8);
            CHECK(*std::max_element(matrix.codes.begin(), matrix.codes.end()) <= 7);
            CHECK(error() <= nearest * 1.0001);
            if (covariance.name == std::string("randomly rotated")) CHECK(error() < 0.7 * nearest);
            CHECK(result.deadColumns.empty());
            const Index groups = static_cast<Index>(matrix.groups());
            for (Index r = 0; r < 64; ++r)
                for (Index g = 0; g < groups; ++g) {
                    const Index width = 128 / groups;
                    const auto begin = matrix.codes.begin() + r * 128 + g * width;
                    REQUIRE(std::accumulate(begin, begin + width, 0) ==
                            matrix.codeSums[static_cast<size_t>(r * groups + g)]);
                }
        }
    }
}

TEST_CASE("inputs that calibration meets on bad days never abort") {
    Rng rng(5);
    const Index n = 172;
    Matrix w = gaussianMatrix(rng, 33, n);
    w.row(5).setZero();
    std::vector<float> scales = uniformScales(w, 0.4f);
    scales[5] = 0;
    MatrixD token(1, n);
    for (Index i = 0; i < n; ++i) token(0, i) = rng.gaussian();
    MatrixD deadChannels = covariances(rng, n)[3].matrix;
    for (const Index dead : {0, 50, 171}) {
        deadChannels.row(dead).setZero();
        deadChannels.col(dead).setZero();
    }
    const std::vector<NamedCovariance> cases{
        {"one token", transposedTimes(token, token)},  {"constant inputs", MatrixD::Ones(n, n)},
        {"nothing seen", MatrixD::Zero(n, n)},     {"dead channels", deadChannels},
        {"huge", 1e300 * MatrixD::Identity(n, n)}, {"tiny", 1e-300 * MatrixD::Identity(n, n)}};
    for (const NamedCovariance& hard : cases) {
        CAPTURE(hard.name);
        for (const double damping : {0.0, 0.01}) {
            GptqOptions options;
            options.damping = damping;
            options.actOrder = damping > 0;
            const GptqResult result = gptq(w, hard.matrix, scales, 0, options);
            CHECK(result.codes.minCoeff() >= -8);
            CHECK(result.codes.maxCoeff() <= 7);
            CHECK(result.codes.row(5).cwiseAbs().maxCoeff() == 0);
            if (hard.name == std::string("dead channels")) CHECK(result.deadColumns == std::vector<Index>{0, 50, 171});
            if (hard.name == std::string("nothing seen"))
                CHECK(result.codes(0, 0) == std::clamp(static_cast<int>(std::nearbyint(w(0, 0) / 0.4f)), -8, 7));
        }
    }
    CHECK(gptq(Matrix(0, 4), MatrixD::Identity(4, 4), {}, 0).codes.size() == 0);
    CHECK(gptq(Matrix(2, 0), MatrixD(0, 0), std::vector<float>{1, 1}, 0).codes.size() == 0);
}

TEST_CASE("a mistake in shapes or values is answered with its name") {
    Rng rng(6);
    Matrix w = gaussianMatrix(rng, 4, 8);
    const MatrixD h = MatrixD::Identity(8, 8);
    CHECK_THROWS_AS(gptq(w, MatrixD::Identity(7, 7), uniformScales(w, 1), 0), vulcat::Error);
    CHECK_THROWS_AS(gptq(w, h, std::vector<float>(3), 0), vulcat::Error);
    CHECK_THROWS_AS(gptq(w, h, uniformScales(w, -1), 0), vulcat::Error);
    CHECK_THROWS_AS(gptq(w, h * std::numeric_limits<double>::infinity(), uniformScales(w, 1), 0), vulcat::Error);
    w(1, 1) = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(gptq(w, h, uniformScales(w, 1), 0), vulcat::Error);
}

/// (w - w^) H (w - w^)^T of each row.
Eigen::VectorXd errorsOfRows(const Matrix& w, const format::QuantisedMatrix& q, const MatrixD& h) {
    const std::vector<float> values = q.dequantised();
    const MatrixD difference =
        w.cast<double>() - Eigen::Map<const Matrix>(values.data(), w.rows(), w.cols()).cast<double>();
    return (product(difference, h, 1).array() * difference.array()).rowwise().sum();
}

TEST_CASE("coordinate descent behind GPTQ lowers every row's error or leaves it, and is the same for any threads") {
    Rng rng(21);
    for (const int group : {0, 32}) {
        const Matrix w = gaussianMatrix(rng, 70, 96);
        MatrixD h = covariances(rng, 96)[2].matrix;
        h.row(5).setZero();  // a dead input keeps its codes
        h.col(5).setZero();
        format::QuantisedMatrix start = format::quantiseWeights({w.data(), static_cast<size_t>(w.size())}, 70, 96, 4,
                                                                static_cast<uint64_t>(group), format::ScaleSearch::Mse);
        gptq(w, h, start);
        format::QuantisedMatrix improved = start, again = start;
        improveCodes(w, h, 0, improved, 8, 1);
        improveCodes(w, h, 0, again, 8, 3);
        CHECK(improved.codes == again.codes);
        CHECK(improved.scales == start.scales);
        const Eigen::VectorXd before = errorsOfRows(w, start, h), after = errorsOfRows(w, improved, h);
        CHECK((after.array() <= before.array() * (1 + 1e-9)).all());
        CHECK(after.sum() < 0.98 * before.sum());
        for (size_t r = 0; r < 70; ++r) {
            CHECK(improved.codes[r * 96 + 5] == start.codes[r * 96 + 5]);
            int32_t sum = 0;
            for (size_t k = 0; k < 32; ++k) sum += improved.codes[r * 96 + k];
            if (group == 32) CHECK(improved.codeSums[r * 3] == sum);
        }
        const auto [least, most] = std::minmax_element(improved.codes.begin(), improved.codes.end());
        CHECK(*least >= -8);
        CHECK(*most <= 7);
    }
}

}  // namespace
