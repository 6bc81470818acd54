#include "round_support.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace vulcat::test {

const format::ColumnModels& columnModels() {
    static const format::ColumnModels shared;
    return shared;
}

Matrix gaussianMatrix(Rng& rng, Index rows, Index columns) {
    Matrix w(rows, columns);
    for (Index i = 0; i < w.size(); ++i) w.data()[i] = static_cast<float>(rng.gaussian());
    return w;
}

MatrixD randomRotation(Rng& rng, Index n) {
    // Rows of Gaussians, made orthonormal one after the other; twice, since once leaves rounding errors behind.
    MatrixD q(n, n);
    for (Index i = 0; i < n; ++i) {
        for (Index k = 0; k < n; ++k) q(i, k) = rng.gaussian();
        for (int pass = 0; pass < 2; ++pass)
            for (Index j = 0; j < i; ++j) q.row(i) -= q.row(i).dot(q.row(j)) * q.row(j);
        q.row(i) /= q.row(i).norm();
    }
    return q;
}

Eigen::VectorXd exponentialSpectrum(Index n) {
    Eigen::VectorXd lambda(n);
    for (Index i = 0; i < n; ++i) lambda[i] = std::exp(-6.4 * static_cast<double>(i) / static_cast<double>(n)) + 1e-3;
    return lambda;
}

std::vector<NamedCovariance> covariances(Rng& rng, Index n) {
    const Eigen::VectorXd lambda = exponentialSpectrum(n);
    const MatrixD q = randomRotation(rng, n);
    const MatrixD rotated = congruence(q, lambda);
    Eigen::VectorXd scales(n);
    for (Index i = 0; i < n; ++i) scales[i] = std::exp(rng.gaussian());
    return {{"white", MatrixD::Identity(n, n)},
            {"exponential spectrum", lambda.asDiagonal()},
            {"outlier-scaled", scales.asDiagonal() * rotated * scales.asDiagonal()},
            {"randomly rotated", rotated}};
}

double distortion(const Matrix& w, const Matrix& approximation, const MatrixD& h) {
    const MatrixD e = (w - approximation).cast<double>();
    return times(e, h).cwiseProduct(e).sum() / static_cast<double>(w.size());
}

Eigen::VectorXd factorDiagonal(const MatrixD& covariance) {
    return lowerFactor(covariance).diagonal();
}

double limitRate(const MatrixD& covariance, double distortion) {
    const Eigen::VectorXd lambda = symmetricEigenvalues(covariance);
    double low = 0;
    double high = lambda.maxCoeff();
    for (int i = 0; i < 200; ++i) {
        const double level = 0.5 * (low + high);
        (lambda.cwiseMin(level).mean() > distortion ? high : low) = level;
    }
    return (0.5 * (lambda.array() / high).log() / std::log(2.0)).cwiseMax(0.0).mean();
}

double columnEntropy(const CodeMatrix& codes) {
    double total = 0;
    for (Index i = 0; i < codes.cols(); ++i) {
        std::map<int32_t, int> counts;
        for (Index r = 0; r < codes.rows(); ++r) ++counts[codes(r, i)];
        for (const auto& [code, count] : counts) {
            const double p = static_cast<double>(count) / static_cast<double>(codes.rows());
            total -= p * std::log2(p);
        }
    }
    return total / static_cast<double>(codes.cols());
}

Cancelled cancelPlainly(const Matrix& w, const MatrixD& h, const Eigen::VectorXd& steps, bool gains) {
    const MatrixD lower = lowerFactor(h);
    MatrixD y = times(w.cast<double>(), lower);
    Cancelled result{CodeMatrix(w.rows(), w.cols()), Eigen::VectorXd(w.cols())};
    for (Index i = w.cols() - 1; i >= 0; --i) {
        const double step = steps[i] * lower(i, i);
        double energy = 0;
        double match = 0;
        for (Index r = 0; r < w.rows(); ++r) {
            const double z = std::nearbyint(y(r, i) / step);
            result.codes(r, i) = static_cast<int32_t>(z);
            energy += z * z;
            match += z * y(r, i);
        }
        const double gain = !gains ? 1.0 : (energy > 0 ? match / energy / step : 0.0);
        result.scales[i] = gain * steps[i];
        y -= result.scales[i] * result.codes.col(i).cast<double>() * lower.row(i);
    }
    return result;
}

CodeMatrix gptqPlainly(const Matrix& w, const MatrixD& h, double step) {
    const MatrixD upper = lowerFactor(inverse(h)).transpose();
    MatrixD rest = w.cast<double>();
    CodeMatrix codes(w.rows(), w.cols());
    for (Index i = 0; i < w.cols(); ++i)
        for (Index r = 0; r < w.rows(); ++r) {
            const double z = std::nearbyint(rest(r, i) / step);
            codes(r, i) = static_cast<int32_t>(z);
            rest.row(r).tail(w.cols() - i) -= (rest(r, i) - z * step) / upper(i, i) * upper.row(i).tail(w.cols() - i);
        }
    return codes;
}

}  // namespace vulcat::test
