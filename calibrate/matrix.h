#pragma once
// Matrices of this floor and the products it needs. Row-major like the files: W is [N, K], activations [M, K].

#include <Eigen/Core>

#include <cstdint>

namespace vulcat::calibrate {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixD = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMatrixMap = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;
using MatrixMap = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

inline Eigen::Index signedSize(uint64_t n) {
    return static_cast<Eigen::Index>(n);
}

/// Keeps OpenBLAS on the calling thread while it lives. Work is spread over threads in fixed pieces by parallelFor, so
/// that no sum depends on how many there are. (The setting is the library's own, process-wide.)
class SerialBlas {
  public:
    SerialBlas();
    ~SerialBlas();
    SerialBlas(const SerialBlas&) = delete;
    SerialBlas& operator=(const SerialBlas&) = delete;

  private:
    int before_;
};

/// y[M,N] = x[M,K] * w[N,K]^T + beta * y, all row-major with the given row strides (elements). Sums in float.
void multiplyTransposed(const float* x, Eigen::Index strideX, const float* w, Eigen::Index strideW, float* y,
                        Eigen::Index strideY, Eigen::Index M, Eigen::Index N, Eigen::Index K, float beta = 0.0f);

/// x * w^T.
Matrix multiplyTransposed(const Matrix& x, const Matrix& w);

/// y[M,N] = x[M,K] * w[K,N].
void multiply(const float* x, Eigen::Index strideX, const float* w, Eigen::Index strideW, float* y,
              Eigen::Index strideY, Eigen::Index M, Eigen::Index N, Eigen::Index K);

/// y += a x, both of `count` elements, with the widest instructions the machine has.
void addScaled(float a, const float* x, float* y, Eigen::Index count);

/// sum[n,m] = a[M,n]^T b[M,m] in float over `rows` rows of `stride` elements. Where a is b only the triangle on and
/// above the diagonal has a meaning afterwards, at half the price.
void crossMoment(const float* a, const float* b, Eigen::Index stride, Eigen::Index rows, Matrix& sum);

}  // namespace vulcat::calibrate
