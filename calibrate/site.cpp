#include "calibrate/site.h"

#include "format/half.h"

#include "base/error.h"

#include <algorithm>

namespace vulcat::calibrate {

namespace {

constexpr Eigen::Index kExactFloat = Eigen::Index{1} << 24;  // integers up to here are exact in float

/// x' = B x for the dense blocks of equal width that begin at column `first`.
void applyBlocks(const std::vector<uint16_t>& halves, Eigen::Index width, Eigen::Index count, Eigen::Index first,
                 const Matrix& x, Matrix& y) {
    Matrix block(width, width);
    for (Eigen::Index b = 0; b < count; ++b) {
        const uint16_t* source = halves.data() + b * width * width;
        for (Eigen::Index i = 0; i < width * width; ++i) block.data()[i] = format::halfToFloat(source[i]);
        const Eigen::Index column = first + b * width;
        multiplyTransposed(x.data() + column, x.cols(), block.data(), width, y.data() + column, y.cols(), x.rows(),
                           width, width);
    }
}

void addBias(Matrix& y, std::span<const float> bias) {
    if (bias.empty()) return;
    for (Eigen::Index m = 0; m < y.rows(); ++m)
        for (Eigen::Index n = 0; n < y.cols(); ++n) y(m, n) += bias[static_cast<size_t>(n)];
}

/// Weight codes as float integers times rows of float integers or of float activations, over one range of columns.
Matrix codesProduct(const format::QuantisedMatrix& weights, const Matrix& x, Eigen::Index begin, Eigen::Index end) {
    const Eigen::Index N = signedSize(weights.rows), K = signedSize(weights.columns), width = end - begin;
    Matrix codes(N, width);
    for (Eigen::Index n = 0; n < N; ++n)
        for (Eigen::Index k = 0; k < width; ++k)
            codes(n, k) = static_cast<float>(weights.codes[static_cast<size_t>(n * K + begin + k)]);
    Matrix y(x.rows(), N);
    multiplyTransposed(x.data() + begin, x.cols(), codes.data(), width, y.data(), N, x.rows(), N, width);
    return y;
}

Matrix weightOnlyProduct(const Linear& linear, const Matrix& x) {
    const format::QuantisedMatrix& q = *linear.codes;
    const std::vector<float> dense = q.dequantised();
    Matrix y(x.rows(), signedSize(q.rows));
    multiplyTransposed(x.data(), x.cols(), dense.data(), x.cols(), y.data(), y.cols(), x.rows(), y.cols(), x.cols());
    return y;
}

}  // namespace

Eigen::Index Linear::outputs() const {
    return codes ? signedSize(codes->rows) : weight.rows();
}
Eigen::Index Linear::inputs() const {
    return codes ? signedSize(codes->columns) : weight.cols();
}

Matrix applyTransform(const format::Transform& transform, const Matrix& x) {
    if (static_cast<uint64_t>(x.cols()) != transform.width)
        throw Error(Result::InvalidArgument, "a transform was applied to rows of another width");
    Matrix y = x;
    if (transform.hasBlocks()) {
        const Eigen::Index k = signedSize(transform.block), full = signedSize(transform.fullBlocks());
        applyBlocks(transform.blocks, k, full, 0, x, y);
        const Eigen::Index tail = signedSize(transform.tailWidth());
        if (tail > 0) applyBlocks(transform.tail, tail, 1, full * k, x, y);
    }
    if (transform.hasMix()) {
        format::Transform mix;
        mix.width = transform.width;
        mix.mixOrder = transform.mixOrder;
        mix.mixStride = transform.mixStride;
        mix.mixCore = transform.mixCore;
        mix.mixMatrix = transform.mixMatrix;
        for (Eigen::Index m = 0; m < y.rows(); ++m)
            format::applyTransform<float>(mix, std::span<float>(y.row(m).data(), static_cast<size_t>(y.cols())));
    }
    return y;
}

Matrix integerProduct(const format::QuantisedMatrix& weights, const format::QuantisedRows& x,
                      std::span<const float> bias) {
    const Eigen::Index M = signedSize(x.rows), N = signedSize(weights.rows), K = signedSize(weights.columns);
    Matrix rows(M, K);  // code - zero point; the contract's acc - zero * codeSum is the same integer
    for (Eigen::Index m = 0; m < M; ++m)
        for (Eigen::Index k = 0; k < K; ++k) {
            const auto at = static_cast<size_t>(m);
            rows(m, k) = static_cast<float>(x.codes[at * x.columns + static_cast<size_t>(k)] - x.headers[at].zero);
        }
    const float largest = std::max(1.0f, rows.size() > 0 ? rows.cwiseAbs().maxCoeff() : 0.0f);
    const Eigen::Index bound = (weights.bits == 4 ? 8 : 127) * static_cast<Eigen::Index>(largest);
    const Eigen::Index piece = std::max<Eigen::Index>(1, kExactFloat / bound);
    const Eigen::Index groups = signedSize(weights.groups());
    const Eigen::Index width = weights.groupSize == 0 ? K : signedSize(weights.groupSize);
    Matrix y = Matrix::Zero(M, N);
    Eigen::Matrix<int32_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> sums(M, N);
    for (Eigen::Index g = 0; g < groups; ++g) {
        const Eigen::Index end = std::min(K, (g + 1) * width);
        sums.setZero();
        for (Eigen::Index begin = g * width; begin < end; begin += piece)
            sums += codesProduct(weights, rows, begin, std::min(end, begin + piece)).cast<int32_t>();
        for (Eigen::Index m = 0; m < M; ++m)
            for (Eigen::Index n = 0; n < N; ++n) {
                const float term = static_cast<float>(sums(m, n)) * weights.scales[static_cast<size_t>(n * groups + g)];
                y(m, n) = g == 0 ? term : y(m, n) + term;
            }
    }
    for (Eigen::Index m = 0; m < M; ++m) y.row(m) *= x.headers[static_cast<size_t>(m)].scale;
    addBias(y, bias);
    return y;
}

std::vector<Matrix> apply(const Site& site, const Matrix& x) {
    std::optional<Matrix> transformed;
    if (site.transform) transformed = applyTransform(*site.transform, x);
    const Matrix& input = transformed ? *transformed : x;
    std::optional<format::QuantisedRows> rows;
    if (site.recipe.activationBits != 16) {
        const auto format = format::activationFormat(site.recipe.activationBits, site.recipe.activationSymmetric);
        rows = format::quantiseRows({input.data(), static_cast<size_t>(input.size())},
                                    static_cast<uint64_t>(input.rows()), static_cast<uint64_t>(input.cols()), format);
    }
    std::optional<Matrix> rounded;  // for float weights behind a quantiser
    if (rows && std::any_of(site.linears.begin(), site.linears.end(), [](const Linear& l) { return !l.codes; })) {
        rounded.emplace(input.rows(), input.cols());
        for (size_t m = 0; m < rows->rows; ++m)
            format::dequantiseRow(rows->headers[m], std::span(rows->codes).subspan(m * rows->columns, rows->columns),
                                  {rounded->data() + m * rows->columns, static_cast<size_t>(rows->columns)});
    }
    std::vector<Matrix> outputs;
    for (const Linear& linear : site.linears) {
        if (linear.codes && rows) {
            outputs.push_back(integerProduct(*linear.codes, *rows, linear.bias));
            continue;
        }
        outputs.push_back(linear.codes ? weightOnlyProduct(linear, input)
                                       : multiplyTransposed(rounded ? *rounded : input, linear.weight));
        addBias(outputs.back(), linear.bias);
    }
    return outputs;
}

}  // namespace vulcat::calibrate
