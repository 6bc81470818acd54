#include "calibrate/cat.h"

#include "calibrate/linear_algebra.h"

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {
constexpr double kLeastShare = 1e-8;  // of the site's mean: the least mean a block's damping is taken from
}

MatrixD symmetricPower(const MatrixD& a, double power, double floor) {
    MatrixD vectors = 0.5 * (a + a.transpose());  // becomes the eigenvectors, one a row
    const Eigen::VectorXd values = diagonalise(vectors).array().max(floor).pow(power).matrix();
    const MatrixD scaled = values.asDiagonal() * vectors;
    return product(vectors.transpose(), scaled, 1);
}

MatrixD geometricMean(const MatrixD& a, const MatrixD& b) {
    const double tiny = 1e-14 * a.trace() / static_cast<double>(a.rows());
    const MatrixD root = symmetricPower(a, 0.5, tiny), inverse = symmetricPower(a, -0.5, tiny);
    const MatrixD middle = product(product(inverse, b, 1), inverse, 1);
    return product(product(root, symmetricPower(middle, 0.5, 0.0), 1), root, 1);
}

double alignmentRoots(const MatrixD& sx, const MatrixD& sw) {
    const MatrixD root = symmetricPower(sx, 0.5, 0.0);
    const MatrixD middle = product(product(root, sw, 1), root, 1);
    return spectrum(0.5 * (middle + middle.transpose())).array().max(0.0).sqrt().sum();
}

MatrixD alignmentTransform(const MatrixD& sx, const MatrixD& sw, double meanX, double meanW,
                           const AlignmentDamping& damping, std::vector<std::string>& notes) {
    const Eigen::Index n = sx.rows();
    if (!(meanX > 0.0) || !(meanW > 0.0)) {
        notes.push_back(meanX > 0.0 ? "all weights are zero: block left as it is"
                                    : "all inputs are zero: block left as it is");
        return MatrixD::Identity(n, n);
    }
    const double blockX = sx.trace() / static_cast<double>(n), blockW = sw.trace() / static_cast<double>(n);
    if (blockX < kLeastShare * meanX) notes.push_back("a block's inputs are almost zero: damped by the site's mean");
    if (blockW < kLeastShare * meanW) notes.push_back("a block's weights are almost zero: damped by the site's mean");
    const double addX = damping.x * std::max(blockX, kLeastShare * meanX);
    const double addW = damping.w * std::max(blockW, kLeastShare * meanW);
    const MatrixD identity = MatrixD::Identity(n, n);
    const MatrixD x = sx + addX * identity, w = sw + addW * identity;
    // The square-root form: with x = A A^T, w = B B^T and the singular values S and left vectors U of B^T A, the rows
    // of S^-1/2 U^T B^T are a transform of the same product T^T T = w # x^-1; no inverse and no root of x or w is formed.
    MatrixD a = x, b = w;
    dampedCholesky(a, 0, 1);
    dampedCholesky(b, 0, 1);
    MatrixD left = product(b.transpose(), a, 1);
    const Eigen::VectorXd values = leftSingular(left);
    const MatrixD rows = product(left, b.transpose(), 1);
    const MatrixD scaled = values.array().max(1e-300).inverse().matrix().asDiagonal() * rows;
    return symmetricPower(product(rows.transpose(), scaled, 1), 0.5, 0.0);
}

}  // namespace vulcat::calibrate
