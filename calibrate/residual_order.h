#pragma once
// A permutation of the residual stream's channels. Like that of an MLP's hidden channels it is exact and costs nothing
// at run time: embeddings, norms, the columns of q, k, v, gate and up, the rows of o and down and the head's columns
// move together. One order serves every layer, since all of them add to the same stream.

#include "calibrate/bit_plan.h"
#include "calibrate/channel_order.h"

namespace vulcat::calibrate {

/// Whether the site's input is the (normed) residual stream.
constexpr bool readsResidual(SiteKind kind) {
    return kind == SiteKind::Qkv || kind == SiteKind::GateUp || kind == SiteKind::Head;
}

/// The order that options.permuteResidual asks for: masses and affinities of all reading sites are added up, each over
/// its mean, so that every site counts alike. `rows` is asked for every layer. Empty (the natural order) where nothing
/// is asked or one block takes in the whole width.
ColumnOrder residualOrder(const CalibrateOptions& options, const Decoder& decoder, const TrialRows& rows, int threads);

/// What the order did at a site whose rows [R, d] are in it already.
OrderedChannels judgeResidualOrder(const CalibrateOptions& options, const ColumnOrder& order, const Matrix& rows);

/// A layer's tensors in the order of the residual stream's channels.
void orderResidual(Layer& layer, const ColumnOrder& order);
/// Names of the tensors besides a layer's weight matrices whose last dimension is the residual stream.
std::vector<std::string> residualTensors(const format::ModelConfig& config);

}  // namespace vulcat::calibrate
