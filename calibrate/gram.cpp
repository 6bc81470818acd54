#include "calibrate/gram.h"

#include "calibrate/parallel.h"

#include <cblas.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

constexpr Index kGramRows = 256;  // longer float sums would lose digits that a Cholesky factor can feel
constexpr Index kGramTile = 512;

blasint blasSize(Index n) {
    return static_cast<blasint>(n);
}

void addTile(MatrixD& sum, const Matrix& a, const Matrix& b, Index row, Index column) {
    const Index rows = std::min(kGramTile, a.cols() - row), columns = std::min(kGramTile, b.cols() - column);
    Matrix part(rows, columns);
    for (Index first = 0; first < a.rows(); first += kGramRows) {
        const Index count = std::min(kGramRows, a.rows() - first);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, blasSize(rows), blasSize(columns), blasSize(count), 1.0f,
                    a.data() + first * a.cols() + row, blasSize(a.cols()), b.data() + first * b.cols() + column,
                    blasSize(b.cols()), 0.0f, part.data(), blasSize(columns));
        sum.block(row, column, rows, columns) += part.cast<double>();
    }
}

void addTiles(MatrixD& sum, const Matrix& a, const Matrix& b, bool lowerOnly, int threads) {
    std::vector<std::pair<Index, Index>> tiles;
    for (Index row = 0; row < a.cols(); row += kGramTile)
        for (Index column = 0; column < (lowerOnly ? row + 1 : b.cols()); column += kGramTile)
            tiles.emplace_back(row, column);
    parallelFor(tiles.size(), threads, [&](size_t i) { addTile(sum, a, b, tiles[i].first, tiles[i].second); });
}

}  // namespace

void addProduct(MatrixD& sum, const Matrix& a, const Matrix& b, int threads) {
    addTiles(sum, a, b, false, threads);
}

void addGram(MatrixD& sum, const Matrix& a, int threads) {
    addTiles(sum, a, a, true, threads);
}

void mirrorLower(MatrixD& sum) {
    for (Index i = 0; i < sum.rows(); ++i)
        for (Index j = 0; j < i; ++j) sum(j, i) = sum(i, j);
}

}  // namespace vulcat::calibrate
