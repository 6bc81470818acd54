#include "calibrate/statistics.h"

#include "calibrate/parallel.h"

#include <algorithm>
#include <unordered_set>

namespace vulcat::calibrate {

namespace {
constexpr Eigen::Index kFloatRows = 512;   // longer float sums would lose digits that the transforms can feel
constexpr Eigen::Index kMomentTile = 512;  // columns of a work item; its float sum stays in the cache

void mirrorUpper(Matrix& m) {
    constexpr Eigen::Index kStep = 32;  // both sides of the mirror stay in the cache
    for (Eigen::Index i = 0; i < m.rows(); i += kStep)
        for (Eigen::Index j = 0; j <= i; j += kStep)
            for (Eigen::Index r = i; r < std::min(i + kStep, m.rows()); ++r)
                for (Eigen::Index c = j; c < std::min(j + kStep, r); ++c) m(r, c) = m(c, r);
}

/// splitmix64: the same numbers on every machine and library.
uint64_t nextRandom(uint64_t& state) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
}  // namespace

SecondMoments::SecondMoments(Eigen::Index width, Eigen::Index block)
    : width_(width), block_(block == 0 ? width : std::min(block, width)) {
    for (Eigen::Index first = 0; first < width_; first += block_) {
        const Eigen::Index n = std::min(block_, width_ - first);
        blocks_.push_back(MatrixD::Zero(n, n));
    }
}

void SecondMoments::add(const Matrix& x, int threads) {
    struct Tile {
        size_t block;
        Eigen::Index row, column, rows, columns;  // inside the block
    };
    std::vector<Tile> tiles;
    for (size_t b = 0; b < blocks_.size(); ++b)
        for (Eigen::Index i = 0; i < blocks_[b].rows(); i += kMomentTile)
            for (Eigen::Index j = i; j < blocks_[b].rows(); j += kMomentTile)
                tiles.push_back({b, i, j, std::min(kMomentTile, blocks_[b].rows() - i),
                                 std::min(kMomentTile, blocks_[b].rows() - j)});
    const SerialBlas serial;
    parallelFor(tiles.size(), threads, [&](size_t t) {
        const Tile& tile = tiles[t];
        const Eigen::Index first = static_cast<Eigen::Index>(tile.block) * block_;
        Matrix sum(tile.rows, tile.columns);
        MatrixD total = MatrixD::Zero(tile.rows, tile.columns);
        for (Eigen::Index row = 0; row < x.rows(); row += kFloatRows) {
            const float* rows = x.data() + row * x.cols() + first;
            crossMoment(rows + tile.row, rows + tile.column, x.cols(), std::min(kFloatRows, x.rows() - row), sum);
            if (tile.row == tile.column) mirrorUpper(sum);
            total += sum.cast<double>();
        }
        MatrixD& block = blocks_[tile.block];
        block.block(tile.row, tile.column, tile.rows, tile.columns) += total;
        if (tile.row != tile.column) block.block(tile.column, tile.row, tile.columns, tile.rows) += total.transpose();
    });
    rows_ += static_cast<uint64_t>(x.rows());
}

void SecondMoments::add(const SecondMoments& other) {
    for (size_t b = 0; b < blocks_.size(); ++b) blocks_[b] += other.blocks_[b];
    rows_ += other.rows_;
}

MatrixD SecondMoments::part(Eigen::Index first, Eigen::Index size) const {
    return blocks_[static_cast<size_t>(first / block_)].block(first % block_, first % block_, size, size);
}

SecondMoments SecondMoments::inOrder(const std::vector<Eigen::Index>& order) const {
    SecondMoments result(width_, 0);
    const MatrixD& all = blocks_.front();
    for (Eigen::Index i = 0; i < width_; ++i)
        for (Eigen::Index j = 0; j < width_; ++j)
            result.blocks_.front()(i, j) = all(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]);
    result.rows_ = rows_;
    return result;
}

double SecondMoments::trace() const {
    double sum = 0;
    for (const MatrixD& block : blocks_) sum += block.trace();
    return sum;
}

uint64_t SecondMoments::sizeBytes(Eigen::Index width, Eigen::Index block) {
    const Eigen::Index each = block == 0 ? width : std::min(block, width);
    return static_cast<uint64_t>((width + each - 1) / each * each * each) * sizeof(double);
}

std::vector<double> SecondMoments::packed() const {
    std::vector<double> values;
    values.reserve(packedCount(width_, block_));
    for (const MatrixD& block : blocks_)
        for (Eigen::Index i = 0; i < block.rows(); ++i)
            values.insert(values.end(), block.row(i).data() + i, block.row(i).data() + block.cols());
    return values;
}

uint64_t SecondMoments::packedCount(Eigen::Index width, Eigen::Index block) {
    const Eigen::Index each = block == 0 ? width : std::min(block, width), tail = width % each;
    return static_cast<uint64_t>((width / each) * (each * (each + 1) / 2) + tail * (tail + 1) / 2);
}

SecondMoments SecondMoments::fromPacked(Eigen::Index width, Eigen::Index block, uint64_t rows,
                                        std::span<const double> values) {
    SecondMoments moments(width, block);
    const double* next = values.data();
    for (MatrixD& matrix : moments.blocks_)
        for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
            std::copy_n(next, matrix.cols() - i, matrix.row(i).data() + i);
            matrix.col(i).tail(matrix.rows() - i) = matrix.row(i).tail(matrix.cols() - i).transpose();
            next += matrix.cols() - i;
        }
    moments.rows_ = rows;
    return moments;
}

std::vector<uint64_t> chooseRows(uint64_t total, uint64_t count, uint64_t seed) {
    // Floyd's sampling: one draw for each chosen index, no list of all of them.
    std::unordered_set<uint64_t> chosen;
    uint64_t state = seed;
    for (uint64_t last = total - std::min(total, count); last < total; ++last) {
        const uint64_t index = nextRandom(state) % (last + 1);
        if (!chosen.insert(index).second) chosen.insert(last);
    }
    std::vector<uint64_t> rows(chosen.begin(), chosen.end());
    std::sort(rows.begin(), rows.end());
    return rows;
}

}  // namespace vulcat::calibrate
