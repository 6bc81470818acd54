// WaterSIC: the paper's algorithm, its options, its independence of threads, and inputs nobody wants. How near it comes
// to the limits of theory is in round_limits_test.cpp.
#include "calibrate/watersic.h"

#include "round_support.h"

#include "calibrate/rescalers.h"
#include "calibrate/watersic_descent.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace {

using namespace vulcat::calibrate;
using vulcat::format::ColumnModels;
using vulcat::format::encodeMatrix;
using vulcat::format::kMaxCode;
using namespace vulcat::test;

const ColumnModels& models() {
    static const ColumnModels shared;
    return shared;
}

WaterSicOptions plainOptions(double step) {
    WaterSicOptions options;
    options.step = step;
    options.damping = 0;
    options.orderByVariance = false;
    options.rescale = false;
    options.shrinkage = 0;
    options.roundScales = false;
    options.highestCode = kMaxCode;
    options.descent = false;
    return options;
}

TEST_CASE("cancellation in blocks gives the codes and scales of the paper's loop") {
    Rng rng(1);
    for (const NamedCovariance& covariance : covariances(rng, 200)) {
        CAPTURE(covariance.name);
        const Matrix w = gaussianMatrix(rng, 300, 200);
        const Eigen::VectorXd diagonal = factorDiagonal(covariance.matrix);
        const double step = 0.5 * std::exp(diagonal.array().log().mean());
        for (const bool gains : {false, true}) {
            WaterSicOptions options = plainOptions(step);
            options.gains = gains;
            const WaterSicResult result = waterSic(w, covariance.matrix, models(), options);
            const Eigen::VectorXd steps = (step / diagonal.array()).matrix();
            const auto plain = cancelPlainly(w, covariance.matrix, steps, gains);
            CHECK(result.codes == plain.codes);
            for (Index i = 0; i < 200; ++i)
                REQUIRE(result.columnScales[static_cast<size_t>(i)] == doctest::Approx(plain.scales[i]).epsilon(1e-6));
            CHECK(result.outputError ==
                  doctest::Approx(distortion(w, result.dequantised(), covariance.matrix)).epsilon(1e-4));
        }
    }
}

TEST_CASE("with shrunken targets the reported error is still that of the outputs") {
    Rng rng(9);
    const Matrix w = gaussianMatrix(rng, 200, 90);
    const MatrixD h = covariances(rng, 90)[3].matrix;
    for (const bool rescaling : {false, true}) {
        WaterSicOptions options = plainOptions(0.3);
        options.shrinkage = 0.6;
        options.rescale = rescaling;
        const WaterSicResult result = waterSic(w, h, models(), options);
        CHECK(result.outputError == doctest::Approx(distortion(w, result.dequantised(), h)).epsilon(1e-5));
    }
}

TEST_CASE("descent lowers error plus price of bits, knows the error that is left, and does not depend on threads") {
    Rng rng(7);
    constexpr Index rows = 150, columns = 90;
    for (const NamedCovariance& covariance : covariances(rng, columns)) {
        CAPTURE(covariance.name);
        MatrixD weights = gaussianMatrix(rng, rows, columns).cast<double>().transpose();
        weights.col(3).setZero();
        const double step = 0.6 * std::exp(factorDiagonal(covariance.matrix).array().log().mean());
        const CancellationFactor factor = cancellationFactor(covariance.matrix, 0, 1);
        const vulcat::calibrate::Cancelled before = cancelWithSteps(weights, {}, factor, {step, true, 127, 1});
        const auto errorOf = [&](const vulcat::calibrate::Cancelled& pass) {
            MatrixD approximation = pass.codes.cast<double>();
            approximation.array().colwise() *= pass.scales.array();
            return outputError(weights, approximation, covariance.matrix, 1);
        };
        // Bits by the frequencies that the descent knew; codes it brought in are never in the sum's favour.
        const auto bitsOf = [&](const vulcat::calibrate::Cancelled& pass) {
            double bits = 0;
            for (Index i = 0; i < columns; ++i)
                for (Index r = 0; r < rows; ++r) {
                    const auto seen = (before.codes.row(i).array() == pass.codes(i, r)).count();
                    bits -= std::log2((static_cast<double>(seen) + 0.05) / rows);
                }
            return bits;
        };
        const double price = kBitPrice * step * step;
        vulcat::calibrate::Cancelled one = before, five = before;
        lowerCost(weights, covariance.matrix, price, 127, 1, one);
        lowerCost(weights, covariance.matrix, price, 127, 5, five);
        CHECK(one.codes == five.codes);
        CHECK(one.error == five.error);
        CHECK(one.codes != before.codes);
        CHECK(one.error == doctest::Approx(errorOf(one)).epsilon(1e-3));
        CHECK(errorOf(one) + price * bitsOf(one) < errorOf(before) + price * bitsOf(before));
        CHECK((one.codes.col(3).array() == 0).all());
        // Where bits are free only the error counts.
        vulcat::calibrate::Cancelled uncounted = before;
        lowerCost(weights, covariance.matrix, 0, 127, 1, uncounted);
        CHECK(errorOf(uncounted) <= errorOf(before));
    }
}

TEST_CASE("the number of threads changes nothing") {
    Rng rng(2);
    const Matrix w = gaussianMatrix(rng, 600, 150);
    const MatrixD h = covariances(rng, 150)[2].matrix;
    WaterSicOptions options;
    options.threads = 1;
    const WaterSicResult one = waterSic(w, h, models(), options);
    options.threads = 5;
    const WaterSicResult five = waterSic(w, h, models(), options);
    CHECK(one.codes == five.codes);
    CHECK(one.columnScales == five.columnScales);
    CHECK(one.rowScales == five.rowScales);
    CHECK(one.codeBits == five.codeBits);
}

TEST_CASE("the search meets the wanted rate, and more bits give less error") {
    Rng rng(3);
    const Matrix w = gaussianMatrix(rng, 3000, 128);
    const MatrixD h = covariances(rng, 128)[2].matrix;
    double before = std::numeric_limits<double>::infinity();
    for (const double rate : {1.5, 2.0, 2.5, 3.0, 4.0}) {
        WaterSicOptions options;
        options.rate = rate;
        options.highestCode = kMaxCode;
        const WaterSicResult result = waterSic(w, h, models(), options);
        CAPTURE(rate);
        CHECK(result.searchRuns <= 6);
        // The subset of rows meets the tolerance; all rows differ from it by chance.
        CHECK(std::fabs(result.rate() - rate) < 0.02);
        CHECK(result.outputError < before);
        before = result.outputError;
        const std::vector<std::byte> bytes =
            encodeMatrix({result.codes.data(), static_cast<size_t>(result.codes.size())}, 3000, 128, models());
        CHECK(8 * static_cast<double>(bytes.size()) / static_cast<double>(w.size()) ==
              doctest::Approx(result.codeBits).epsilon(0.01));
    }
}

TEST_CASE("rescaling never raises the error, and helps weights whose rows and columns were scaled wrongly") {
    Rng rng(4);
    const MatrixD h = covariances(rng, 60)[3].matrix;
    const MatrixD weights = gaussianMatrix(rng, 60, 90).cast<double>();
    for (const bool wrong : {false, true}) {
        MatrixD rounded = (weights * 3).array().round() / 3;
        if (wrong)
            for (Index i = 0; i < 60; ++i) rounded.row(i) *= 1 + 0.2 * rng.uniform(-1, 1);
        const double before = outputError(weights, rounded, h, 2);
        const Rescaled found = rescale(weights, rounded, h, 3e-4, 8, 2);
        rounded.array().colwise() *= found.columns.array();
        rounded.array().rowwise() *= found.rows.transpose().array();
        const double after = outputError(weights, rounded, h, 2);
        CHECK(after <= before * (1 + 1e-12));
        CHECK(found.rows.cwiseAbs().mean() == doctest::Approx(1));
        if (wrong) CHECK(after < 0.6 * before);
    }
}

TEST_CASE("with a drifted input the corrected target is nearer to the float output than the plain one") {
    Rng rng(5);
    const Index n = 64;
    const Index tokens = 600;
    const Matrix w = gaussianMatrix(rng, 96, n);
    MatrixD root = covariances(rng, n)[3].matrix;
    dampedCholesky(root, 0, 1);
    const MatrixD x = timesTransposed(gaussianMatrix(rng, tokens, n).cast<double>(), root);
    // The quantised stream is a shrunken, mixed and noisy copy.
    MatrixD seen = 0.8 * x + 0.02 * gaussianMatrix(rng, tokens, n).cast<double>();
    seen.col(3) += 0.3 * x.col(4);
    const MatrixD hessian = transposedTimes(seen, seen) / tokens;
    const MatrixD cross = transposedTimes(x, seen) / tokens;
    const MatrixD residual = 0.1 * gaussianMatrix(rng, tokens, 96).cast<double>();
    const MatrixD residualCross = transposedTimes(residual, seen) / tokens;
    WaterSicOptions options;
    options.rate = 4;
    const auto miss = [&](const WaterSicResult& result) {
        const MatrixD approximation = result.dequantised().cast<double>();
        return (timesTransposed(x, w.cast<double>()) + residual - timesTransposed(seen, approximation)).squaredNorm();
    };
    const double plain = miss(waterSic(w, hessian, models(), options));
    const double corrected = miss(waterSic(w, hessian, models(), options, {&cross, nullptr}));
    const double both = miss(waterSic(w, hessian, models(), options, {&cross, &residualCross}));
    CHECK(corrected < 0.5 * plain);
    CHECK(both < corrected);
    // No drift at all is no correction.
    const WaterSicResult same = waterSic(w, hessian, models(), options, {&hessian, nullptr});
    CHECK(same.codes == waterSic(w, hessian, models(), options).codes);
}

TEST_CASE("codes stay within the runtime's int8 and say how many were clipped") {
    Rng rng(6);
    Matrix w = gaussianMatrix(rng, 300, 40);
    const MatrixD h = covariances(rng, 40)[3].matrix;
    WaterSicOptions options;
    options.rate = 6;
    w.col(7) *= 300;
    const WaterSicResult result = waterSic(w, h, models(), options);
    CHECK(result.codes.cwiseAbs().maxCoeff() <= 127);
    CHECK(result.clippedCodes > 0);
}

TEST_CASE("inputs that calibration meets on bad days never abort") {
    Rng rng(7);
    const Index n = 172;
    Matrix w = gaussianMatrix(rng, 48, n);
    w.row(0).setZero();
    w.col(9).setZero();
    MatrixD token(1, n);
    for (Index i = 0; i < n; ++i) token(0, i) = rng.gaussian();
    MatrixD dead = covariances(rng, n)[3].matrix;
    for (const Index channel : {0, 50, 171}) {
        dead.row(channel) *= 1e-9;
        dead.col(channel) *= 1e-9;
    }
    const std::vector<NamedCovariance> cases{
        {"one token", transposedTimes(token, token)}, {"constant inputs", MatrixD::Ones(n, n)},
        {"nothing seen", MatrixD::Zero(n, n)},        {"dead channels", dead},
        {"huge", 1e200 * MatrixD::Identity(n, n)},    {"tiny", 1e-200 * MatrixD::Identity(n, n)}};
    for (const NamedCovariance& hard : cases)
        for (const double rate : {0.2, 2.0, 8.0}) {
            CAPTURE(hard.name);
            CAPTURE(rate);
            WaterSicOptions options;
            options.rate = rate;
            options.damping = rate == 2.0 ? 0 : 1e-4;
            const WaterSicResult result = waterSic(w, hard.matrix, models(), options, {&hard.matrix, nullptr});
            CHECK(result.dequantised().allFinite());
            CHECK(result.dequantised().row(0).cwiseAbs().maxCoeff() == 0);
            CHECK(std::isfinite(result.rate()));
            if (hard.name == std::string("dead channels")) CHECK(result.deadColumns == std::vector<Index>{0, 50, 171});
            if (hard.name == std::string("nothing seen")) CHECK(result.deadColumns.size() == static_cast<size_t>(n));
        }
    const Matrix zero = Matrix::Zero(20, n);
    CHECK(waterSic(zero, cases[3].matrix, models()).dequantised().cwiseAbs().maxCoeff() == 0);
    CHECK(waterSic(Matrix(0, 3), MatrixD::Identity(3, 3), models()).codes.size() == 0);
    CHECK(waterSic(Matrix(3, 0), MatrixD(0, 0), models()).codes.size() == 0);
    const Matrix one = Matrix::Constant(1, 1, 0.7f);
    CHECK(waterSic(one, MatrixD::Identity(1, 1), models()).dequantised().allFinite());
}

TEST_CASE("a mistake in shapes, values or options is answered") {
    Rng rng(8);
    Matrix w = gaussianMatrix(rng, 4, 8);
    const MatrixD h = MatrixD::Identity(8, 8);
    WaterSicOptions options;
    CHECK_THROWS_AS(waterSic(w, MatrixD::Identity(7, 7), models()), vulcat::Error);
    const MatrixD wrong = MatrixD::Identity(3, 3);
    CHECK_THROWS_AS(waterSic(w, h, models(), options, {&wrong, nullptr}), vulcat::Error);
    options.rate = 0;
    CHECK_THROWS_AS(waterSic(w, h, models(), options), vulcat::Error);
    options = {};
    options.highestCode = 40000;
    CHECK_THROWS_AS(waterSic(w, h, models(), options), vulcat::Error);
    w(1, 1) = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(waterSic(w, h, models()), vulcat::Error);
}

}  // namespace
