#pragma once
// Channels put into another order, and what a permutation did for their blocks.

#include "calibrate/cancellation.h"
#include "calibrate/permutation.h"

#include <optional>
#include <vector>

namespace vulcat::calibrate {

/// What the report tells of the inputs of a site whose channels were permuted.
struct OrderedChannels {
    std::vector<float> massBefore, massAfter;  ///< l1 mass of each block over that of the mean block
    std::optional<double> attainableBefore;    ///< largest alignment (dB) that blocks of the natural order reach
};

/// Column (or row) i of the result is column (row) order[i] of `m`.
Matrix columnsInOrder(const Matrix& m, const ColumnOrder& order);
Matrix rowsInOrder(const Matrix& m, const ColumnOrder& order);
std::vector<float> inOrder(const std::vector<float>& values, const ColumnOrder& order);

/// 0, 1, ... n - 1
ColumnOrder naturalOrder(Eigen::Index n);
/// The order that undoes `order`.
ColumnOrder inverseOrder(const ColumnOrder& order);

/// Mean |x| of each column over the rows x [R, K].
Eigen::VectorXd meanMass(const Matrix& rows);
/// The bound of each block (see blockBounds) over the mean of all; ones where nothing has mass.
std::vector<float> blockMasses(const Eigen::VectorXd& mass, const ColumnOrder& order, Eigen::Index block);

}  // namespace vulcat::calibrate
