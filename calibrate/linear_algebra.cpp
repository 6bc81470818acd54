#include "calibrate/linear_algebra.h"

#include "calibrate/parallel.h"

#include "base/error.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

// LAPACK as Fortran declares it; lengths of strings come last. OpenBLAS holds it.
extern "C" {
void dsyevd_(const char* job, const char* triangle, const blasint* n, double* a, const blasint* stride, double* values,
             double* work, const blasint* workSize, blasint* integers, const blasint* integerSize, blasint* info,
             size_t jobLength, size_t triangleLength);
void dgesdd_(const char* job, const blasint* rows, const blasint* columns, double* a, const blasint* strideA,
             double* values, double* u, const blasint* strideU, double* v, const blasint* strideV, double* work,
             const blasint* workSize, blasint* integers, blasint* info, size_t jobLength);
void dpotrf_(const char* triangle, const blasint* n, double* a, const blasint* stride, blasint* info, size_t length);
void dgetrf_(const blasint* rows, const blasint* columns, double* a, const blasint* stride, blasint* pivots,
             blasint* info);
void dgetri_(const blasint* n, double* a, const blasint* stride, const blasint* pivots, double* work,
             const blasint* workSize, blasint* info);
void dgecon_(const char* norm, const blasint* n, const double* a, const blasint* stride, const double* normOfA,
             double* reciprocal, double* work, blasint* integers, blasint* info, size_t normLength);
}

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

/// Columns of a panel and rows of a tile. Part of the result's bits: no setting, no function of the thread count.
constexpr Index kPanel = 128;
constexpr Index kTile = 256;

blasint size(Index n) {
    return static_cast<blasint>(n);
}
size_t pieces(Index count, Index step) {
    return static_cast<size_t>((count + step - 1) / step);
}

/// Calls work(first, count) for the tiles of 0..total, last tile first (in triangles the last has the most to do).
template <typename Work>
void forTiles(Index total, int threads, const Work& work) {
    const size_t tiles = pieces(total, kTile);
    parallelFor(tiles, threads, [&](size_t i) {
        const Index first = static_cast<Index>(tiles - 1 - i) * kTile;
        work(first, std::min(kTile, total - first));
    });
}

void symmetrise(MatrixD& a) {
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < i; ++j) a(i, j) = a(j, i) = 0.5 * (a(i, j) + a(j, i));
}

/// The panel's columns below its diagonal block, then what they take away from everything right of them.
void eliminatePanel(MatrixD& a, Index first, Index width, int threads) {
    const Index n = a.rows();
    const Index below = first + width;
    double* data = a.data();
    forTiles(n - below, threads, [&](Index row, Index rows) {
        cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, size(rows), size(width), 1.0,
                    data + first * n + first, size(n), data + (below + row) * n + first, size(n));
    });
    forTiles(n - below, threads, [&](Index row, Index rows) {
        const double* left = data + (below + row) * n + first;
        double* out = data + (below + row) * n + below;
        if (row > 0)
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(rows), size(row), size(width), -1.0, left,
                        size(n), data + below * n + first, size(n), 1.0, out, size(n));
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, size(rows), size(width), -1.0, left, size(n), 1.0,
                    out + row, size(n));
    });
}

void solveRightAs(const MatrixD& lower, MatrixD& b, CBLAS_TRANSPOSE transpose, int threads) {
    const SerialBlas serial;
    forTiles(b.rows(), threads, [&](Index row, Index rows) {
        cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, transpose, CblasNonUnit, size(rows), size(b.cols()), 1.0,
                    lower.data(), size(lower.cols()), b.data() + row * b.cols(), size(b.cols()));
    });
}

/// Sum of the logarithms of the pivots: half the log determinant.
double logDiagonal(const MatrixD& lower) {
    return lower.diagonal().array().log().sum();
}

/// dsyevd on the calling thread. Columns of Fortran's result are rows of ours.
Eigen::VectorXd eigenvaluesOf(MatrixD& a, char job) {
    const blasint n = size(a.rows()), query = -1;
    Eigen::VectorXd values(a.rows());
    if (n == 0) return values;
    double workSize = 0;
    blasint integerSize = 0, info = 0;
    dsyevd_(&job, "L", &n, a.data(), &n, values.data(), &workSize, &query, &integerSize, &query, &info, 1, 1);
    std::vector<double> work(static_cast<size_t>(workSize));
    std::vector<blasint> integers(static_cast<size_t>(integerSize));
    const blasint room = static_cast<blasint>(work.size());
    dsyevd_(&job, "L", &n, a.data(), &n, values.data(), work.data(), &room, integers.data(), &integerSize, &info, 1, 1);
    if (info != 0) throw Error(Result::Failure, "the eigenvalues of a covariance could not be found");
    return values;
}

}  // namespace

Eigen::VectorXd diagonalise(MatrixD& a) {
    return eigenvaluesOf(a, 'V');
}

Eigen::VectorXd spectrum(MatrixD a) {
    return eigenvaluesOf(a, 'N');
}

Eigen::VectorXd leftSingular(MatrixD& a) {
    const blasint n = size(a.rows()), query = -1;
    Eigen::VectorXd values(a.rows());
    if (n == 0) return values;
    // Fortran sees the transpose, whose right singular vectors are the left ones of `a`.
    MatrixD left(a.rows(), a.rows()), right(a.rows(), a.rows());
    std::vector<blasint> integers(8 * static_cast<size_t>(n));
    double workSize = 0;
    blasint info = 0;
    dgesdd_("S", &n, &n, a.data(), &n, values.data(), right.data(), &n, left.data(), &n, &workSize, &query,
            integers.data(), &info, 1);
    std::vector<double> work(static_cast<size_t>(workSize));
    const blasint room = static_cast<blasint>(work.size());
    dgesdd_("S", &n, &n, a.data(), &n, values.data(), right.data(), &n, left.data(), &n, work.data(), &room,
            integers.data(), &info, 1);
    if (info != 0) throw Error(Result::Failure, "the singular values of a covariance could not be found");
    a = left.transpose();  // Fortran's V^T, its columns our rows: row i of `left` holds entry i of all vectors
    return values;
}

void multiplyAdd(bool transposeA, Index M, Index N, Index K, const double* a, Index strideA, const double* b,
                 Index strideB, double* y, Index strideY, bool accumulate) {
    if (M == 0 || N == 0 || (K == 0 && accumulate)) return;
    cblas_dgemm(CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, CblasNoTrans, size(M), size(N), size(K), 1.0, a,
                size(strideA), b, size(strideB), accumulate ? 1.0 : 0.0, y, size(strideY));
}

MatrixD product(const MatrixD& a, const MatrixD& b, int threads) {
    const SerialBlas serial;
    MatrixD y(a.rows(), b.cols());
    forTiles(a.rows(), threads, [&](Index row, Index rows) {
        multiplyAdd(false, rows, b.cols(), a.cols(), a.data() + row * a.cols(), a.cols(), b.data(), b.cols(),
                    y.data() + row * y.cols(), y.cols(), false);
    });
    return y;
}

bool choleskyLower(MatrixD& a, int threads) {
    const SerialBlas serial;
    const Index n = a.rows();
    for (Index first = 0; first < n; first += kPanel) {
        const Index width = std::min(kPanel, n - first);
        const blasint order = size(width), stride = size(n);
        blasint info = 0;
        dpotrf_("U", &order, a.data() + first * n + first, &stride, &info, 1);  // Fortran's upper is our lower triangle
        // A pivot may also be NaN without LAPACK's objection.
        if (info != 0 || !(a.diagonal().segment(first, width).minCoeff() > 0)) return false;
        if (first + width < n) eliminatePanel(a, first, width, threads);
    }
    return true;
}

void solveRightTransposed(const MatrixD& lower, MatrixD& b, int threads) {
    solveRightAs(lower, b, CblasTrans, threads);
}
void solveRight(const MatrixD& lower, MatrixD& b, int threads) {
    solveRightAs(lower, b, CblasNoTrans, threads);
}

void solveUnitLeft(const MatrixD& unitLower, MatrixD& b, int threads) {
    const SerialBlas serial;
    forTiles(b.cols(), threads, [&](Index column, Index columns) {
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, size(b.rows()), size(columns), 1.0,
                    unitLower.data(), size(unitLower.cols()), b.data() + column, size(b.cols()));
    });
}

MatrixD inverseFromFactor(const MatrixD& lower, int threads) {
    MatrixD inverse = MatrixD::Identity(lower.rows(), lower.cols());
    solveRightTransposed(lower, inverse, threads);
    solveRight(lower, inverse, threads);
    symmetrise(inverse);
    return inverse;
}

MatrixD generalInverse(MatrixD a, double& reciprocalCondition) {
    const SerialBlas serial;
    const blasint n = size(a.rows());
    const double norm = n > 0 ? a.cwiseAbs().rowwise().sum().maxCoeff() : 0;
    std::vector<blasint> pivots(static_cast<size_t>(n)), integers(static_cast<size_t>(n));
    std::vector<double> work(static_cast<size_t>(n) * 64 + 1);
    const auto room = static_cast<blasint>(work.size());
    blasint info = 0;
    reciprocalCondition = n > 0 ? 0 : 1;
    // Fortran sees the transpose: its 1-norm is the norm of our rows, and its inverse the transpose of ours.
    if (n > 0) dgetrf_(&n, &n, a.data(), &n, pivots.data(), &info);
    if (n > 0 && info == 0) {
        dgecon_("1", &n, a.data(), &n, &norm, &reciprocalCondition, work.data(), integers.data(), &info, 1);
        dgetri_(&n, a.data(), &n, pivots.data(), work.data(), &room, &info);
    }
    if (info != 0) a.setConstant(std::numeric_limits<double>::quiet_NaN());
    return a;
}

AddedDamping dampedCholesky(MatrixD& h, double relative, int threads) {
    if (h.rows() != h.cols())
        throw Error(Result::InvalidArgument,
                    "a covariance must be square, not " + std::to_string(h.rows()) + " x " + std::to_string(h.cols()));
    if (!h.allFinite())
        throw Error(Result::InvalidArgument, "a covariance holds NaN or infinity; check the activations");
    const Index n = h.rows();
    const Eigen::VectorXd diagonal = h.diagonal();
    const double mean = n > 0 ? diagonal.mean() : 0;
    AddedDamping damping;
    if (!(mean > 0)) {
        h.setIdentity();
        damping.added = 1;
        return damping;
    }
    // Even without a wish for damping the ladder needs a first rung above zero.
    damping.added = std::max(relative, 0.0) * mean;
    for (;; ++damping.attempts) {
        for (Index i = 0; i < n; ++i) h(i, i) = std::max(diagonal[i], 0.0) + damping.added;
        if (choleskyLower(h, threads)) break;
        // The factor spoilt the lower triangle; the upper one still holds the matrix.
        for (Index i = 1; i < n; ++i)
            for (Index j = 0; j < i; ++j) h(i, j) = h(j, i);
        damping.added = std::max(10 * damping.added, 1e-10 * mean);
    }
    for (Index i = 0; i < n; ++i) h.row(i).tail(n - 1 - i).setZero();
    return damping;
}

MatrixD geometricMean(MatrixD a, MatrixD b, double relative, int threads) {
    if (a.rows() != b.rows()) throw Error(Result::InvalidArgument, "a geometric mean needs matrices of equal size");
    const auto dampInPlace = [&](MatrixD& matrix) {
        MatrixD factor = matrix;
        const AddedDamping damping = dampedCholesky(factor, relative, threads);
        if (!(matrix.diagonal().sum() > 0)) matrix.setZero();
        matrix.diagonal().array() += damping.added;
        return logDiagonal(factor);
    };
    const Index n = a.rows();
    if (n == 0) return a;
    // (sA) # (B/s) = A # B, so before each round the two may be given equal determinants. Without that a ratio of
    // eigenvalues only falls by 4 a round while it is large; with it the spread's square root is taken.
    double logA = dampInPlace(a);
    const double logMean = logA + dampInPlace(b);  // log det(A # B)
    constexpr int kMaxRounds = 40;
    for (int round = 0; round < kMaxRounds; ++round) {
        const double shift = (logMean - 2 * logA) / static_cast<double>(n);
        a *= std::exp(shift);
        b *= std::exp(-shift);
        MatrixD mean = 0.5 * (a + b);
        MatrixD factor = mean;
        dampedCholesky(factor, 0, threads);
        logA = logDiagonal(factor);
        // The harmonic mean as A mean^-1 B = Y Z^T with Y = A L^-T and Z = B L^-T.
        MatrixD y = a;
        MatrixD z = b;
        solveRightTransposed(factor, y, threads);
        solveRightTransposed(factor, z, threads);
        b = product(y, z.transpose(), threads);
        symmetrise(b);
        a = std::move(mean);
        if ((a - b).cwiseAbs().maxCoeff() <= 1e-11 * a.cwiseAbs().maxCoeff()) break;
    }
    return a;
}

}  // namespace vulcat::calibrate
