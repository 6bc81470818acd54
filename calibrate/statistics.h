#pragma once
// What calibration keeps of the rows that pass a site: second moments and a sample of the rows themselves.

#include "calibrate/matrix.h"

#include <cstdint>
#include <vector>

namespace vulcat::calibrate {

/// The sum of x x^T over rows x, not centred, whole or only the diagonal blocks of one width (the last may be smaller).
/// Products run in float over at most 256 rows and are merged in double, in the order of the calls; so results depend
/// on the order alone. Of the rows of a weight W the sum is W^T W.
class SecondMoments {
  public:
    /// `block` 0 or >= width: the whole matrix. Precondition: width >= 1.
    SecondMoments(Eigen::Index width, Eigen::Index block);

    void add(const Matrix& x);
    /// Adds sums of the same shape (rows seen elsewhere).
    void add(const SecondMoments& other);

    Eigen::Index width() const { return width_; }
    Eigen::Index block() const { return block_; }
    bool whole() const { return block_ == width_; }
    uint64_t rows() const { return rows_; }
    /// The sum's diagonal block that begins at `first`. Precondition: it lies inside one kept block.
    MatrixD part(Eigen::Index first, Eigen::Index size) const;
    /// The sum of all squares.
    double trace() const;
    static uint64_t sizeBytes(Eigen::Index width, Eigen::Index block);

  private:
    Eigen::Index width_, block_;
    std::vector<MatrixD> blocks_;
    uint64_t rows_ = 0;
};

/// `count` different indices below `total` (all of them when there are fewer), ascending; every choice equally likely.
std::vector<uint64_t> chooseRows(uint64_t total, uint64_t count, uint64_t seed);

}  // namespace vulcat::calibrate
