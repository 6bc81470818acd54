#include "calibrate/hidden_order.h"

#include "calibrate/plan.h"
#include "calibrate/sqnr.h"

namespace vulcat::calibrate {

using Eigen::Index;

std::optional<OrderedChannels> orderHidden(const CalibrateOptions& options, Layer& layer, SiteInputs& down, int threads,
                                           std::vector<std::string>& notes) {
    const Index width = down.moments.width(), block = static_cast<Index>(blockOf(options, width));
    if (options.permute == Permute::None || block >= width) return std::nullopt;
    std::vector<Linear>& gateUp = layer.site(SiteKind::GateUp).linears;
    if (!gateUp[0].bias.empty()) {
        notes.push_back("hidden channels keep their order: gate and up have biases");
        return std::nullopt;
    }
    Linear& output = layer.site(SiteKind::Down).linears.front();
    const Eigen::VectorXd mass = meanMass(down.rows);
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
    const OrderedChannels result{blockMasses(mass, naturalOrder(width), block), blockMasses(mass, order, block),
                                 attainableAlignment(down.moments, weights, block, signal, threads)};
    for (Linear& linear : gateUp) linear.weight = rowsInOrder(linear.weight, order);
    output.weight = columnsInOrder(output.weight, order);
    down.rows = columnsInOrder(down.rows, order);
    down.moments = down.moments.inOrder(order);
    return result;
}

}  // namespace vulcat::calibrate
