#include "calibrate/matrix.h"

#include <cblas.h>

#include <algorithm>

namespace vulcat::calibrate {

namespace {
blasint size(Eigen::Index n) {
    return static_cast<blasint>(n);
}
}  // namespace

SerialBlas::SerialBlas() : before_(openblas_get_num_threads()) {
    openblas_set_num_threads(1);
}
SerialBlas::~SerialBlas() {
    openblas_set_num_threads(before_);
}

void multiplyTransposed(const float* x, Eigen::Index strideX, const float* w, Eigen::Index strideW, float* y,
                        Eigen::Index strideY, Eigen::Index M, Eigen::Index N, Eigen::Index K, float beta) {
    if (M == 0 || N == 0) return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(M), size(N), size(K), 1.0f, x, size(strideX), w,
                size(strideW), beta, y, size(strideY));
}

Matrix multiplyTransposed(const Matrix& x, const Matrix& w) {
    Matrix y(x.rows(), w.rows());
    multiplyTransposed(x.data(), x.cols(), w.data(), w.cols(), y.data(), y.cols(), x.rows(), w.rows(), x.cols());
    return y;
}

void multiply(const float* x, Eigen::Index strideX, const float* w, Eigen::Index strideW, float* y,
              Eigen::Index strideY, Eigen::Index M, Eigen::Index N, Eigen::Index K) {
    if (M == 0 || N == 0) return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(M), size(N), size(K), 1.0f, x, size(strideX), w,
                size(strideW), 0.0f, y, size(strideY));
}

void addScaled(float a, const float* x, float* y, Eigen::Index count) {
    cblas_saxpy(size(count), a, x, 1, y, 1);
}

void crossMoment(const float* a, const float* b, Eigen::Index stride, Eigen::Index rows, Matrix& sum) {
    if (a == b)
        cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, size(sum.rows()), size(rows), 1.0f, a, size(stride), 0.0f,
                    sum.data(), size(sum.cols()));
    else
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, size(sum.rows()), size(sum.cols()), size(rows), 1.0f, a,
                    size(stride), b, size(stride), 0.0f, sum.data(), size(sum.cols()));
}

}  // namespace vulcat::calibrate
