#include "calibrate/site_steps.h"

#include "calibrate/linear_algebra.h"

#include "format/half.h"

#include <vector>

namespace vulcat::calibrate {

std::optional<format::Transform> alignmentAlone(const format::Transform& transform, int threads) {
    if (transform.block < 2) return std::nullopt;
    format::Transform alone;
    alone.width = transform.width;
    alone.block = transform.block;
    alone.blocks = transform.blocks;
    alone.tail = transform.tail;
    // With a tail the mix is all online; else its part inside blocks was merged into them.
    if (transform.tailWidth() > 0) return transform.hasMix() ? std::optional(alone) : std::nullopt;
    format::Transform mix;
    mix.width = transform.block;
    format::setMix(mix, mix.width, 1);
    const auto k = static_cast<Eigen::Index>(transform.block);
    const std::vector<double> entries = format::transformMatrix(mix);
    // Orthogonal: its transpose takes it away.
    const MatrixD undo = Eigen::Map<const MatrixD>(entries.data(), k, k).transpose();
    MatrixD block(k, k);
    for (size_t b = 0; b < transform.fullBlocks(); ++b) {
        uint16_t* halves = alone.blocks.data() + b * static_cast<size_t>(k * k);
        for (Eigen::Index i = 0; i < k * k; ++i) block.data()[i] = static_cast<double>(format::halfToFloat(halves[i]));
        const MatrixD aligned = product(undo, block, threads);
        for (Eigen::Index i = 0; i < k * k; ++i) halves[i] = format::floatToHalf(static_cast<float>(aligned.data()[i]));
    }
    return alone;
}

}  // namespace vulcat::calibrate
