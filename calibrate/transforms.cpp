#include "calibrate/transforms.h"

#include "calibrate/linear_algebra.h"
#include "calibrate/parallel.h"

#include "format/half.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace vulcat::calibrate {

namespace {

constexpr double kLeastCondition = 1e-6;  // reciprocal; W T^-1 keeps full float precision well above it
constexpr int kLargestExponent = 4;  // entries below 2^4: 2^18 of normal fp16 range lies below, and no sum overflows

/// The matrix D of an orthogonal mix of this order.
MatrixD mixMatrix(Eigen::Index order) {
    format::Transform mix;
    mix.width = static_cast<uint64_t>(order);
    format::setMix(mix, mix.width, 1);
    const std::vector<double> entries = format::transformMatrix(mix);
    return Eigen::Map<const MatrixD>(entries.data(), order, order);
}

MatrixD fromHalves(const uint16_t* halves, Eigen::Index n) {
    MatrixD block(n, n);
    for (Eigen::Index i = 0; i < n * n; ++i) block.data()[i] = static_cast<double>(format::halfToFloat(halves[i]));
    return block;
}

MatrixD roundToHalf(const MatrixD& block) {
    return block.unaryExpr(
        [](double v) { return static_cast<double>(format::halfToFloat(format::floatToHalf(static_cast<float>(v)))); });
}

bool invertible(const MatrixD& block) {
    double reciprocalCondition = 0;
    if (block.allFinite()) generalInverse(block, reciprocalCondition);
    return reciprocalCondition > kLeastCondition;
}

/// The block [first, first + n) of B, unscaled. When its fp16 form could not be inverted well, damping rises tenfold
/// until it can; the last resort is the identity at the scale that balances inputs and weights.
MatrixD stableBlock(const SecondMoments& x, const SecondMoments& w, Eigen::Index first, Eigen::Index n,
                    AlignmentDamping damping, std::vector<std::string>& notes) {
    const auto width = static_cast<double>(x.width());
    const double meanX = x.trace() / width, meanW = w.trace() / width;
    const MatrixD sx = x.part(first, n), sw = w.part(first, n);
    const std::string where = "columns " + std::to_string(first) + ".." + std::to_string(first + n - 1) + ": ";
    for (int attempt = 0; attempt < 4; ++attempt) {
        std::vector<std::string> found;
        MatrixD m = alignmentTransform(sx, sw, meanX, meanW, damping, found);
        if (invertible(roundToHalf(m / std::max(m.cwiseAbs().maxCoeff(), 1e-300)))) {
            for (const std::string& note : found) notes.push_back(where + note);
            if (attempt > 0) notes.push_back(where + "damping of the inputs raised to " + std::to_string(damping.x));
            return m;
        }
        damping.x *= 10.0;
        damping.w *= 10.0;
    }
    notes.push_back(where + "no stable alignment found: left as it is");
    const double scale = sx.trace() > 0.0 && sw.trace() > 0.0 ? std::pow(sw.trace() / sx.trace(), 0.25) : 1.0;
    return scale * MatrixD::Identity(n, n);
}

/// The power of two that brings the largest entry of all blocks just below 2^kLargestExponent.
double commonScale(const std::vector<MatrixD>& blocks) {
    double largest = 0.0;
    for (const MatrixD& block : blocks) largest = std::max(largest, block.cwiseAbs().maxCoeff());
    if (!(largest > 0.0)) return 1.0;
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0, kLargestExponent - exponent);
}

void store(const MatrixD& block, double scale, std::vector<uint16_t>& halves) {
    for (Eigen::Index i = 0; i < block.size(); ++i)
        halves.push_back(format::floatToHalf(static_cast<float>(block.data()[i] * scale)));
}

/// +-1 for each channel; all 1 without a seed.
Eigen::VectorXd channelSigns(Eigen::Index width, std::optional<uint64_t> seed) {
    Eigen::VectorXd signs = Eigen::VectorXd::Ones(width);
    if (!seed) return signs;
    uint64_t state = *seed ^ 0x9E3779B97F4A7C15u;
    for (Eigen::Index i = 0; i < width; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if ((state >> 63) != 0) signs[i] = -1;
    }
    return signs;
}

}  // namespace

SiteTransform catTransform(const SecondMoments& x, const SecondMoments& w, Eigen::Index block,
                           const AlignmentDamping& damping, int threads, std::optional<uint64_t> seed) {
    const Eigen::VectorXd signs = channelSigns(x.width(), seed);
    const Eigen::Index width = x.width(), k = std::min(block, width), tail = width % k, full = width / k;
    SiteTransform result;
    std::vector<MatrixD> blocks(static_cast<size_t>(full + (tail > 0 ? 1 : 0)));
    std::vector<std::vector<std::string>> notes(blocks.size());
    const MatrixD inside = tail == 0 ? mixMatrix(k) : MatrixD();
    parallelFor(blocks.size(), threads, [&](size_t b) {
        const Eigen::Index first = static_cast<Eigen::Index>(b) * k;
        MatrixD m = stableBlock(x, w, first, std::min(k, width - first), damping, notes[b]);
        m.array().colwise() *= signs.segment(first, m.rows()).array();
        blocks[b] = tail == 0 ? MatrixD(inside * m) : m;
    });
    for (const auto& found : notes) result.notes.insert(result.notes.end(), found.begin(), found.end());
    format::Transform stored;
    stored.width = static_cast<uint64_t>(width);
    stored.block = static_cast<uint64_t>(k);
    const double scale = commonScale(blocks);
    for (size_t b = 0; b < blocks.size(); ++b)
        store(blocks[b], scale, static_cast<Eigen::Index>(b) < full ? stored.blocks : stored.tail);
    if (tail == 0)
        format::setMix(stored, static_cast<uint64_t>(full), static_cast<uint64_t>(k));
    else
        format::setMix(stored, static_cast<uint64_t>(width), 1);
    result.stored = std::move(stored);
    return result;
}

SiteTransform hadamardTransform(Eigen::Index width, std::optional<uint64_t> seed) {
    SiteTransform result;
    if (width <= 1) return result;
    result.stored = format::hadamardTransform(static_cast<uint64_t>(width));
    if (!seed) return result;
    result.stored->block = 1;
    for (const double sign : channelSigns(width, seed))
        result.stored->blocks.push_back(format::floatToHalf(static_cast<float>(sign)));
    return result;
}

SiteTransform blockHadamardTransform(Eigen::Index width, Eigen::Index block) {
    SiteTransform result;
    Eigen::Index order = std::min(block, width);
    while (width % order != 0) --order;
    if (order != std::min(block, width))
        result.notes.push_back("blocks of " + std::to_string(order) + ": the largest up to " + std::to_string(block) +
                               " that divide the width " + std::to_string(width));
    if (order == 1) return result;
    format::Transform transform;
    transform.width = static_cast<uint64_t>(width);
    format::setMix(transform, static_cast<uint64_t>(order), 1);
    result.stored = std::move(transform);
    return result;
}

Matrix transformWeights(const format::Transform& transform, const Matrix& weight, int threads) {
    const Eigen::Index K = weight.cols(), k = signedSize(transform.block);
    std::vector<MatrixD> inverses;
    if (transform.hasBlocks()) {
        const Eigen::Index full = signedSize(transform.fullBlocks()), tail = signedSize(transform.tailWidth());
        inverses.resize(static_cast<size_t>(full + (tail > 0 ? 1 : 0)));
        parallelFor(inverses.size(), threads, [&](size_t b) {
            const bool isTail = static_cast<Eigen::Index>(b) == full;
            const uint16_t* halves =
                isTail ? transform.tail.data() : transform.blocks.data() + static_cast<Eigen::Index>(b) * k * k;
            double condition = 0;
            inverses[b] = generalInverse(fromHalves(halves, isTail ? tail : k), condition);
        });
    }
    format::Transform mix;  // orthogonal: rows of W MIX^-1 are MIX applied to rows of W
    mix.width = transform.width;
    mix.mixOrder = transform.mixOrder;
    mix.mixStride = transform.mixStride;
    mix.mixCore = transform.mixCore;
    mix.mixMatrix = transform.mixMatrix;
    const SerialBlas serial;
    Matrix result(weight.rows(), K);
    constexpr Eigen::Index kRows = 64;
    parallelFor(static_cast<size_t>((weight.rows() + kRows - 1) / kRows), threads, [&](size_t chunk) {
        const Eigen::Index begin = static_cast<Eigen::Index>(chunk) * kRows,
                           count = std::min(kRows, weight.rows() - begin);
        MatrixD rows = weight.middleRows(begin, count).cast<double>();
        for (size_t b = 0; b < inverses.size(); ++b) {
            const Eigen::Index first = static_cast<Eigen::Index>(b) * k, n = inverses[b].rows();
            const MatrixD part = rows.middleCols(first, n);
            multiplyAdd(false, count, n, n, part.data(), n, inverses[b].data(), n, rows.data() + first, K, false);
        }
        if (mix.hasMix())
            for (Eigen::Index r = 0; r < count; ++r)
                format::applyTransform<double>(mix, std::span<double>(rows.row(r).data(), static_cast<size_t>(K)));
        result.middleRows(begin, count) = rows.cast<float>();
    });
    return result;
}

}  // namespace vulcat::calibrate
