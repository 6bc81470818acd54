#pragma once
// What calibration keeps of the rows that pass a site: second moments and a sample of the rows themselves.

#include "calibrate/matrix.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::calibrate {

/// The sum of x x^T over rows x, not centred, whole or only the diagonal blocks of one width (the last may be smaller).
/// Products run in float over at most 512 rows and are merged in double, in the order of the calls; so results depend
/// on the order alone. Of the rows of a weight W the sum is W^T W. Only upper triangles are computed, tile by tile, and mirrored.
class SecondMoments {
  public:
    /// `block` 0 or >= width: the whole matrix. Precondition: width >= 1.
    SecondMoments(Eigen::Index width, Eigen::Index block);

    /// Adds the rows of x [M, width]. `threads` (as in calibrate/parallel.h) never changes a bit of the sum.
    void add(const Matrix& x, int threads = 1);
    /// Adds sums of the same shape (rows seen elsewhere).
    void add(const SecondMoments& other);

    Eigen::Index width() const { return width_; }
    Eigen::Index block() const { return block_; }
    bool whole() const { return block_ == width_; }
    uint64_t rows() const { return rows_; }
    /// The sum's diagonal block that begins at `first`. Precondition: it lies inside one kept block.
    MatrixD part(Eigen::Index first, Eigen::Index size) const;
    /// The moments of the rows with their columns in another order: column i of them is column order[i] of these.
    /// Precondition: whole().
    SecondMoments inOrder(const std::vector<Eigen::Index>& order) const;
    /// The sum of all squares.
    double trace() const;
    static uint64_t sizeBytes(Eigen::Index width, Eigen::Index block);

    /// The triangles on and above the diagonal of all kept blocks, row by row, one block after another.
    std::vector<double> packed() const;
    /// Numbers in packed().
    static uint64_t packedCount(Eigen::Index width, Eigen::Index block);
    /// From packed(). Precondition: values.size() == packedCount(width, block).
    static SecondMoments fromPacked(Eigen::Index width, Eigen::Index block, uint64_t rows,
                                    std::span<const double> values);

  private:
    Eigen::Index width_, block_;
    std::vector<MatrixD> blocks_;  ///< both triangles filled
    uint64_t rows_ = 0;
};

/// `count` different indices below `total` (all of them when there are fewer), ascending; every choice equally likely.
std::vector<uint64_t> chooseRows(uint64_t total, uint64_t count, uint64_t seed);

}  // namespace vulcat::calibrate
