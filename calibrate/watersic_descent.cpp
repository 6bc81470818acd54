#include "calibrate/watersic_descent.h"

#include "calibrate/matrix.h"
#include "calibrate/parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

constexpr int kPricedReach = 127;     // codes further out keep their value
constexpr Index kSharedRows = 64;     // that share one product with the Hessian
constexpr int kDescentTurns = 2;      // over a row; a third hardly changes a code
constexpr float kUnseenCode = 0.05f;  // of a code that no row has, so that it has a price

/// Prices of the codes -kPricedReach..kPricedReach of each column, one column after another.
class CodePrices {
  public:
    CodePrices(const CodeMatrix& codes, double price)
        : prices_(static_cast<size_t>(codes.rows() * kWidth), kUnseenCode) {
        const auto rows = static_cast<float>(codes.cols());
        for (Index i = 0; i < codes.rows(); ++i) {
            float* column = prices_.data() + i * kWidth;
            for (Index r = 0; r < codes.cols(); ++r)
                if (std::abs(codes(i, r)) <= kPricedReach) column[codes(i, r) + kPricedReach] += 1;
            for (Index q = 0; q < kWidth; ++q) column[q] = -static_cast<float>(price) * std::log2(column[q] / rows);
        }
    }
    /// Of code 0; others beside it.
    const float* column(Index i) const { return prices_.data() + i * kWidth + kPricedReach; }

  private:
    static constexpr Index kWidth = 2 * kPricedReach + 1;
    std::vector<float> prices_;
};

struct Shared {
    const Matrix& hessian;
    const CodePrices& prices;
    const Eigen::VectorXd& scales;
    int highest;
};

/// One turn over the columns of one row; `gradient` = (w - w^) H is kept true. Returns the change of the output error.
double turn(const Shared& shared, CodeMatrix& codes, Index row, Eigen::Ref<Eigen::RowVectorXf> gradient,
            bool& changed) {
    double change = 0;
    for (Index i = 0; i < codes.rows(); ++i) {
        const auto scale = static_cast<float>(shared.scales[i]);
        const int code = codes(i, row);
        if (std::abs(code) >= shared.highest) continue;
        const float* price = shared.prices.column(i) + code;
        const float own = scale * scale * shared.hessian(i, i), pull = 2 * scale * gradient[i];
        const float up = own - pull, down = own + pull;  // change of the error with the code one higher, one lower
        const float costUp = up + price[1] - price[0], costDown = down + price[-1] - price[0];
        // Far enough below zero that rounding errors of the gradient do not swing a code to and fro.
        if (std::min(costUp, costDown) >= -1e-5f * own) continue;
        const int step = costUp < costDown ? 1 : -1;
        codes(i, row) = code + step;
        addScaled(-scale * static_cast<float>(step), shared.hessian.row(i).data(), gradient.data(), gradient.size());
        change += static_cast<double>(step > 0 ? up : down);
        changed = true;
    }
    return change;
}

}  // namespace

void lowerCost(const MatrixD& weights, const MatrixD& hessian, double price, int32_t highestCode, int threads,
               Cancelled& pass) {
    const Index K = weights.rows(), N = weights.cols();
    if (K == 0 || N == 0) return;
    const SerialBlas serial;
    const Matrix symmetric = hessian.cast<float>();
    const CodePrices prices(pass.codes, price);
    const Shared shared{symmetric, prices, pass.scales, std::min(highestCode, kPricedReach)};
    std::vector<double> changes(static_cast<size_t>((N + kSharedRows - 1) / kSharedRows));
    parallelFor(changes.size(), threads, [&](size_t piece) {
        const Index first = static_cast<Index>(piece) * kSharedRows, count = std::min(kSharedRows, N - first);
        Matrix errors(count, K), gradients(count, K);
        for (Index r = 0; r < count; ++r)
            for (Index i = 0; i < K; ++i)
                errors(r, i) = static_cast<float>(weights(i, first + r) - pass.scales[i] * pass.codes(i, first + r));
        multiply(errors.data(), K, symmetric.data(), K, gradients.data(), K, count, K, K);
        for (Index r = 0; r < count; ++r) {
            // A row of zeros stays one, however dear zeros are in its columns.
            bool changed = (weights.col(first + r).array() != 0).any();
            for (int t = 0; t < kDescentTurns && changed; ++t) {
                changed = false;
                changes[piece] += turn(shared, pass.codes, first + r, gradients.row(r), changed);
            }
        }
    });
    for (const double change : changes) pass.error += change;
}

}  // namespace vulcat::calibrate
