#pragma once
// A permutation of an MLP's hidden channels. It is exact and costs nothing: rows of gate and up and columns of down
// move together, so nothing of it is seen at run time but better blocks.

#include "calibrate/channel_order.h"
#include "calibrate/observe.h"

namespace vulcat::calibrate {

/// Permutes the layer's hidden channels and what was observed of them (inputs of the site down, whose moments must be
/// whole) for blocks of the recipe's width. Nothing happens, and nothing is returned, where the recipe asks for none or
/// biases stand in the way.
std::optional<OrderedChannels> orderHidden(const CalibrateOptions& options, Layer& layer, SiteInputs& down, int threads,
                                           std::vector<std::string>& notes);

}  // namespace vulcat::calibrate
