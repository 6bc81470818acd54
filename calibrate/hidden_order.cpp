#include "calibrate/hidden_order.h"

#include "calibrate/permutation.h"
#include "calibrate/plan.h"
#include "calibrate/sqnr.h"

#include <algorithm>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

/// Of both moments, as shares of their mean diagonals: what few tokens show of thousands of channels is noise.
constexpr double kAffinityDamping = 1e-2;

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

/// Of each block, over the mean of all.
std::vector<float> blockMasses(const Eigen::VectorXd& mass, const ColumnOrder& order, Index block) {
    const Eigen::VectorXd bounds = blockBounds(mass, order, block);
    const double mean = bounds.mean();
    std::vector<float> shares;
    for (const double bound : bounds) shares.push_back(mean > 0 ? static_cast<float>(bound / mean) : 1.0f);
    return shares;
}

ColumnOrder naturalOrder(Index n) {
    ColumnOrder order;
    for (Index i = 0; i < n; ++i) order.push_back(i);
    return order;
}

}  // namespace

std::optional<HiddenOrder> orderHidden(const CalibrateOptions& options, Layer& layer, SiteInputs& down, int threads,
                                       std::vector<std::string>& notes) {
    const Index width = down.moments.width(), block = static_cast<Index>(blockOf(options, width));
    if (options.permute == Permute::None || block >= width) return std::nullopt;
    std::vector<Linear>& gateUp = layer.site(SiteKind::GateUp).linears;
    if (!gateUp[0].bias.empty()) {
        notes.push_back("hidden channels keep their order: gate and up have biases");
        return std::nullopt;
    }
    Linear& output = layer.site(SiteKind::Down).linears.front();
    const Eigen::VectorXd mass = down.rows.cwiseAbs().cast<double>().colwise().mean().transpose();
    ColumnOrder order;
    SecondMoments weights(width, options.permute == Permute::Mass ? block : 0);
    weights.add(output.weight, threads);
    if (options.permute == Permute::Mass) {
        order = massDiffusion(mass, block);
    } else {
        order = alignedBlocks(
            channelAffinity(down.moments.part(0, width), weights.part(0, width), kAffinityDamping, threads), mass,
            block);
    }
    const double signal = meanSignal(layer.site(SiteKind::Down).linears, down.rows, threads);
    const HiddenOrder result{blockMasses(mass, naturalOrder(width), block), blockMasses(mass, order, block),
                             attainableAlignment(down.moments, weights, block, signal, threads)};
    for (Linear& linear : gateUp) linear.weight = rowsInOrder(linear.weight, order);
    output.weight = columnsInOrder(output.weight, order);
    down.rows = columnsInOrder(down.rows, order);
    down.moments = down.moments.inOrder(order);
    return result;
}

}  // namespace vulcat::calibrate
