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
constexpr Index kPadding = 16;        // behind each: at distances of a power of two they would share cache sets
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

/// One turn over the columns of some rows, which know nothing of each other; columns first, so that a column's prices
/// and its row of the Hessian serve all of them. Rows of `gradients` = (w - w^) H are kept true. Returns the change of
/// the output error; rows without a change are done.
double turn(const Shared& shared, CodeMatrix& codes, Index first, Eigen::Ref<Matrix> gradients, std::vector<bool>& open) {
    const Index K = codes.rows();
    std::vector<bool> changed(open.size(), false);
    double change = 0;
    for (Index i = 0; i < K; ++i) {
        const auto scale = static_cast<float>(shared.scales[i]);
        const float own = scale * scale * shared.hessian(i, i);
        for (size_t r = 0; r < open.size(); ++r) {
            if (!open[r]) continue;
            int32_t& code = codes(i, first + static_cast<Index>(r));
            if (std::abs(code) >= shared.highest) continue;
            float* gradient = gradients.row(static_cast<Index>(r)).data();
            const float* price = shared.prices.column(i) + code;
            const float pull = 2 * scale * gradient[i];
            const float up = own - pull, down = own + pull;  // change of the error with the code one higher, one lower
            const float costUp = up + price[1] - price[0], costDown = down + price[-1] - price[0];
            // Far enough below zero that rounding errors of the gradient do not swing a code to and fro.
            if (std::min(costUp, costDown) >= -1e-5f * own) continue;
            const int step = costUp < costDown ? 1 : -1;
            code += step;
            addScaled(-scale * static_cast<float>(step), shared.hessian.row(i).data(), gradient, K);
            change += static_cast<double>(step > 0 ? up : down);
            changed[r] = true;
        }
    }
    open = std::move(changed);
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
        const Index stride = K + kPadding;
        Matrix errors(count, stride), gradients(count, stride);
        std::vector<bool> open(static_cast<size_t>(count), false);
        for (Index i = 0; i < K; ++i)
            for (Index r = 0; r < count; ++r) {
                const double weight = weights(i, first + r);
                errors(r, i) = static_cast<float>(weight - pass.scales[i] * pass.codes(i, first + r));
                // A row of zeros stays one, however dear zeros are in its columns.
                if (weight != 0) open[static_cast<size_t>(r)] = true;
            }
        multiply(errors.data(), stride, symmetric.data(), K, gradients.data(), stride, count, K, K);
        for (int t = 0; t < kDescentTurns; ++t) changes[piece] += turn(shared, pass.codes, first, gradients, open);
    });
    for (const double change : changes) pass.error += change;
}

}  // namespace vulcat::calibrate
