#include "support/dense.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vulcat::test {
namespace {

using Eigen::Index;

/// y[0, n) += factor * x[0, n)
void addScaled(double factor, const double* x, double* y, Index n) {
    for (Index i = 0; i < n; ++i) y[i] += factor * x[i];
}

/// Turns rows p and q, then columns p and q, by the angle that makes a(p, q) zero.
void rotate(Dense& a, Index p, Index q) {
    const double half = (a(q, q) - a(p, p)) / (2 * a(p, q));
    const double tangent = (half < 0 ? -1.0 : 1.0) / (std::fabs(half) + std::sqrt(half * half + 1));
    const double cosine = 1 / std::sqrt(tangent * tangent + 1), sine = tangent * cosine;
    for (Index k = 0; k < a.cols(); ++k) {
        const double x = a(p, k), y = a(q, k);
        a(p, k) = cosine * x - sine * y;
        a(q, k) = sine * x + cosine * y;
    }
    for (Index k = 0; k < a.rows(); ++k) {
        const double x = a(k, p), y = a(k, q);
        a(k, p) = cosine * x - sine * y;
        a(k, q) = sine * x + cosine * y;
    }
}

}  // namespace

Dense times(const Dense& a, const Dense& b) {
    Dense y = Dense::Zero(a.rows(), b.cols());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index k = 0; k < a.cols(); ++k) addScaled(a(i, k), &b.data()[k * b.cols()], &y.data()[i * y.cols()], b.cols());
    return y;
}

Dense timesTransposed(const Dense& a, const Dense& b) {
    return times(a, b.transpose());
}

Dense transposedTimes(const Dense& a, const Dense& b) {
    Dense y = Dense::Zero(a.cols(), b.cols());
    for (Index k = 0; k < a.rows(); ++k)
        for (Index i = 0; i < a.cols(); ++i) addScaled(a(k, i), &b.data()[k * b.cols()], &y.data()[i * y.cols()], b.cols());
    return y;
}

Dense congruence(const Dense& q, const Eigen::VectorXd& values) {
    Dense scaled = q;
    for (Index r = 0; r < q.rows(); ++r)
        for (Index c = 0; c < q.cols(); ++c) scaled(r, c) *= values[c];
    return timesTransposed(scaled, q);
}

Dense inverse(const Dense& a) {
    const Index n = a.rows();
    Dense left = a, right = Dense::Identity(n, n);
    for (Index i = 0; i < n; ++i) {
        Index pivot = i;
        for (Index r = i + 1; r < n; ++r)
            if (std::fabs(left(r, i)) > std::fabs(left(pivot, i))) pivot = r;
        for (Dense* m : {&left, &right})
            if (pivot != i) std::swap_ranges(&m->data()[i * n], &m->data()[i * n] + n, &m->data()[pivot * n]);
        const double factor = left(i, i) != 0 ? 1 / left(i, i) : std::numeric_limits<double>::quiet_NaN();
        for (Dense* m : {&left, &right})
            for (Index c = 0; c < n; ++c) (*m)(i, c) *= factor;
        for (Index r = 0; r < n; ++r) {
            const double rest = left(r, i);
            if (r == i || rest == 0) continue;
            for (Dense* m : {&left, &right}) addScaled(-rest, &m->data()[i * n], &m->data()[r * n], n);
        }
    }
    return right;
}

Dense lowerFactor(const Dense& a) {
    const Index n = a.rows();
    Dense lower = Dense::Zero(n, n);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) {
            double rest = a(i, j);
            for (Index k = 0; k < j; ++k) rest -= lower(i, k) * lower(j, k);
            lower(i, j) = i == j ? std::sqrt(rest > 0 ? rest : std::numeric_limits<double>::quiet_NaN()) : rest / lower(j, j);
        }
    return lower;
}

Eigen::VectorXd symmetricEigenvalues(const Dense& matrix) {
    Dense a = matrix;
    const double scale = a.norm();
    for (int sweep = 0; sweep < 30; ++sweep) {
        double largest = 0;
        for (Index p = 0; p < a.rows(); ++p)
            for (Index q = p + 1; q < a.cols(); ++q) {
                largest = std::max(largest, std::fabs(a(p, q)));
                if (std::fabs(a(p, q)) > 1e-17 * scale) rotate(a, p, q);
            }
        if (largest <= 1e-15 * scale) break;
    }
    Eigen::VectorXd values = a.diagonal();
    std::sort(values.data(), values.data() + values.size());
    return values;
}

}  // namespace vulcat::test
