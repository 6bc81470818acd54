#include "calibrate/rounding.h"

#include "calibrate/parallel.h"

#include <algorithm>
#include <vector>

namespace vulcat::calibrate {

namespace {

constexpr Eigen::Index kRows = 32;  // a piece of work; rows are rounded one by one, so its size changes nothing

std::vector<format::QuantisedMatrix> roundPieces(const Matrix& weight, int bits, int groupSize,
                                                 format::ScaleSearch search, bool halfScales,
                                                 std::span<const float> energy, int threads) {
    std::vector<format::QuantisedMatrix> pieces(static_cast<size_t>((weight.rows() + kRows - 1) / kRows));
    parallelFor(pieces.size(), threads, [&](size_t i) {
        const Eigen::Index begin = static_cast<Eigen::Index>(i) * kRows, count = std::min(kRows, weight.rows() - begin);
        const std::span<const float> rows(weight.data() + begin * weight.cols(),
                                          static_cast<size_t>(count * weight.cols()));
        pieces[i] = format::quantiseWeights(rows, static_cast<uint64_t>(count), static_cast<uint64_t>(weight.cols()),
                                            bits, static_cast<uint64_t>(groupSize), search, halfScales, energy);
    });
    return pieces;
}

}  // namespace

format::QuantisedMatrix roundWeights(const Matrix& weight, int bits, int groupSize, format::ScaleSearch search,
                                     int threads, std::span<const float> energy) {
    bool halfScales = groupSize != 0;
    std::vector<format::QuantisedMatrix> pieces =
        roundPieces(weight, bits, groupSize, search, halfScales, energy, threads);
    const auto keptHalf = [](const format::QuantisedMatrix& piece) { return piece.halfScales; };
    if (halfScales && !std::all_of(pieces.begin(), pieces.end(), keptHalf)) {
        halfScales = false;  // one row that needs float32 decides for all
        pieces = roundPieces(weight, bits, groupSize, search, halfScales, energy, threads);
    }
    format::QuantisedMatrix all;
    all.rows = static_cast<uint64_t>(weight.rows());
    all.columns = static_cast<uint64_t>(weight.cols());
    all.bits = bits;
    all.groupSize = static_cast<uint64_t>(groupSize);
    all.halfScales = halfScales;
    all.codes.reserve(all.rows * all.columns);
    for (format::QuantisedMatrix& piece : pieces) {
        all.codes.insert(all.codes.end(), piece.codes.begin(), piece.codes.end());
        all.scales.insert(all.scales.end(), piece.scales.begin(), piece.scales.end());
        all.codeSums.insert(all.codeSums.end(), piece.codeSums.begin(), piece.codeSums.end());
        piece = {};
    }
    return all;
}

}  // namespace vulcat::calibrate
