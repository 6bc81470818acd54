#include "calibrate/statistics.h"

#include <algorithm>
#include <unordered_set>

namespace vulcat::calibrate {

namespace {
constexpr Eigen::Index kFloatRows = 256;  // longer float sums would lose digits that the transforms can feel

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

void SecondMoments::add(const Matrix& x) {
    Matrix sum;
    for (Eigen::Index row = 0; row < x.rows(); row += kFloatRows) {
        const Matrix rows = x.middleRows(row, std::min(kFloatRows, x.rows() - row));
        for (size_t b = 0; b < blocks_.size(); ++b) {
            secondMoment(rows, static_cast<Eigen::Index>(b) * block_, blocks_[b].rows(), sum);
            blocks_[b] += sum.cast<double>();
        }
    }
    rows_ += static_cast<uint64_t>(x.rows());
}

void SecondMoments::add(const SecondMoments& other) {
    for (size_t b = 0; b < blocks_.size(); ++b) blocks_[b] += other.blocks_[b];
    rows_ += other.rows_;
}

MatrixD SecondMoments::part(Eigen::Index first, Eigen::Index size) const {
    return blocks_[static_cast<size_t>(first / block_)].block(first % block_, first % block_, size, size);
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
