// The shared linear algebra of rounding: tiles, ladder, geometric mean.
#include "round_support.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace {

using namespace vulcat::calibrate;
using Eigen::Index;
using vulcat::test::times;
using vulcat::test::timesTransposed;
using vulcat::test::transposedTimes;
using vulcat::test::Rng;

MatrixD randomCovariance(Rng& rng, Index n, Index rank) {
    MatrixD x(rank, n);
    for (Index i = 0; i < x.size(); ++i) x.data()[i] = rng.gaussian();
    return transposedTimes(x, x) / static_cast<double>(std::max<Index>(rank, 1));
}

TEST_CASE("the tiled Cholesky factor is a factor, at sizes on and off the tile, the same for any number of threads") {
    Rng rng(1);
    for (const Index n : {1, 2, 17, 127, 128, 129, 300, 511}) {
        const MatrixD a = randomCovariance(rng, n, 2 * n);
        MatrixD lower = a;
        REQUIRE(choleskyLower(lower, 1));
        MatrixD other = a;
        REQUIRE(choleskyLower(other, 3));
        CHECK(std::equal(lower.data(), lower.data() + lower.size(), other.data()));
        for (Index i = 0; i < n; ++i)
            for (Index j = i + 1; j < n; ++j) REQUIRE(lower(i, j) == a(i, j));
        const MatrixD triangle = lower.triangularView<Eigen::Lower>();
        CHECK((timesTransposed(triangle, triangle) - a).cwiseAbs().maxCoeff() < 1e-13 * static_cast<double>(n + 4));
        const MatrixD inverse = inverseFromFactor(lower, 2);
        CHECK((times(inverse, a) - MatrixD::Identity(n, n)).cwiseAbs().maxCoeff() < 1e-7);
    }
}

TEST_CASE("a matrix that is not positive has no factor, and the ladder gives it one") {
    Rng rng(2);
    for (const Index rank : {0, 1, 5, 60}) {
        MatrixD h = randomCovariance(rng, 150, rank);
        if (rank > 0) {
            MatrixD copy = h;
            // Rounding may leave tiny positive pivots; an outright negative one must be refused.
            copy(140, 140) = -1;
            CHECK_FALSE(choleskyLower(copy, 2));
        }
        const MatrixD before = h;
        const AddedDamping damping = dampedCholesky(h, 0, 2);
        CHECK(damping.added >= 0);
        CHECK(h.allFinite());
        CHECK(h.diagonal().minCoeff() > 0);
        if (rank > 0) {
            const MatrixD damped = before + damping.added * MatrixD::Identity(150, 150);
            CHECK((timesTransposed(h, h) - damped).cwiseAbs().maxCoeff() < 1e-12 * (1 + before.cwiseAbs().maxCoeff()));
        }
    }
}

TEST_CASE("an indefinite matrix climbs the ladder, NaN is refused") {
    MatrixD h = MatrixD::Identity(40, 40);
    h(3, 4) = h(4, 3) = 3;
    const AddedDamping damping = dampedCholesky(h, 1e-3, 2);
    CHECK(damping.attempts > 1);
    CHECK(damping.added > 2);
    MatrixD bad = MatrixD::Identity(4, 4);
    bad(1, 1) = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(dampedCholesky(bad, 1e-2, 1), vulcat::Error);
    MatrixD oblong(3, 4);
    CHECK_THROWS_AS(dampedCholesky(oblong, 1e-2, 1), vulcat::Error);
    MatrixD empty(0, 0);
    CHECK(dampedCholesky(empty, 1e-2, 1).attempts == 1);
}

TEST_CASE("the geometric mean solves P A^-1 P = B and meets its closed form for diagonal matrices") {
    Rng rng(3);
    const Index n = 90;
    const MatrixD a = randomCovariance(rng, n, 200);
    MatrixD b = randomCovariance(rng, n, 150);
    for (Index i = 0; i < n; ++i) {
        const double scale = std::exp(2 * rng.gaussian());
        b.row(i) *= scale;
        b.col(i) *= scale;
    }
    const MatrixD p = geometricMean(a, b, 0, 2);
    MatrixD factor = a;
    REQUIRE(choleskyLower(factor, 1));
    CHECK((times(times(p, inverseFromFactor(factor, 1)), p) - b).norm() < 1e-7 * b.norm());
    MatrixD x = MatrixD::Zero(3, 3);
    MatrixD y = MatrixD::Zero(3, 3);
    x.diagonal() << 1e-6, 4, 100;
    y.diagonal() << 1e6, 9, 1e-4;
    const MatrixD mean = geometricMean(x, y, 0, 1);
    CHECK(mean(0, 0) == doctest::Approx(1).epsilon(1e-9));
    CHECK(mean(1, 1) == doctest::Approx(6).epsilon(1e-9));
    CHECK(mean(2, 2) == doctest::Approx(0.1).epsilon(1e-9));
}

TEST_CASE("rounding by addition is rounding to nearest, ties to even") {
    for (const double x : {0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994, 127.5, -3.2, 1073741823.5})
        CHECK(roundedToEven(Eigen::Array<double, 1, 1>(x)).value() == std::nearbyint(x));
}

}  // namespace
