#include "calibrate/cat.h"

#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {
constexpr double kLeastShare = 1e-8;  // of the site's mean: the least mean a block's damping is taken from
}

MatrixD symmetricPower(const MatrixD& a, double power, double floor) {
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(0.5 * (a + a.transpose()));
    const Eigen::VectorXd values = solver.eigenvalues().array().max(floor).pow(power).matrix();
    const Eigen::MatrixXd& vectors = solver.eigenvectors();
    return vectors * values.asDiagonal() * vectors.transpose();
}

MatrixD geometricMean(const MatrixD& a, const MatrixD& b) {
    const double tiny = 1e-14 * a.trace() / static_cast<double>(a.rows());
    const MatrixD root = symmetricPower(a, 0.5, tiny), inverse = symmetricPower(a, -0.5, tiny);
    const MatrixD middle = inverse * b * inverse;
    return root * symmetricPower(middle, 0.5, 0.0) * root;
}

double alignmentRoots(const MatrixD& sx, const MatrixD& sw) {
    const MatrixD root = symmetricPower(sx, 0.5, 0.0);
    const MatrixD product = root * sw * root;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(0.5 * (product + product.transpose()),
                                                                Eigen::EigenvaluesOnly);
    return solver.eigenvalues().array().max(0.0).sqrt().sum();
}

MatrixD alignmentTransform(const MatrixD& sx, const MatrixD& sw, double meanX, double meanW, const Damping& damping,
                           std::vector<std::string>& notes) {
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
    const MatrixD root = symmetricPower(x, 0.5, addX), inverse = symmetricPower(x, -0.5, addX);
    const MatrixD middle = root * w * root;
    const MatrixD p = inverse * symmetricPower(middle, 0.5, addX * addW) * inverse;
    return symmetricPower(p, 0.5, 1e-12 * p.trace() / static_cast<double>(n));
}

}  // namespace vulcat::calibrate
