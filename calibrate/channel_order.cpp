#include "calibrate/channel_order.h"

#include <numeric>

namespace vulcat::calibrate {

using Eigen::Index;

Matrix columnsInOrder(const Matrix& m, const ColumnOrder& order) {
    Matrix out(m.rows(), m.cols());
    for (Index r = 0; r < m.rows(); ++r)
        for (size_t i = 0; i < order.size(); ++i) out(r, static_cast<Index>(i)) = m(r, order[i]);
    return out;
}

Matrix rowsInOrder(const Matrix& m, const ColumnOrder& order) {
    Matrix out(m.rows(), m.cols());
    for (size_t i = 0; i < order.size(); ++i) out.row(static_cast<Index>(i)) = m.row(order[i]);
    return out;
}

std::vector<float> inOrder(const std::vector<float>& values, const ColumnOrder& order) {
    std::vector<float> out(values.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = values[static_cast<size_t>(order[i])];
    return out;
}

ColumnOrder naturalOrder(Index n) {
    ColumnOrder order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), Index{0});
    return order;
}

ColumnOrder inverseOrder(const ColumnOrder& order) {
    ColumnOrder inverse(order.size());
    for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = static_cast<Index>(i);
    return inverse;
}

Eigen::VectorXd meanMass(const Matrix& rows) {
    return rows.cwiseAbs().cast<double>().colwise().mean().transpose();
}

std::vector<float> blockMasses(const Eigen::VectorXd& mass, const ColumnOrder& order, Index block) {
    const Eigen::VectorXd bounds = blockBounds(mass, order, block);
    const double mean = bounds.mean();
    std::vector<float> shares;
    for (const double bound : bounds) shares.push_back(mean > 0 ? static_cast<float>(bound / mean) : 1.0f);
    return shares;
}

}  // namespace vulcat::calibrate
