#include "calibrate/site_rounding.h"

#include "calibrate/descent.h"
#include "calibrate/gptq.h"
#include "calibrate/rounding.h"

#include "format/half.h"

#include <algorithm>
#include <array>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;
using format::QuantisedMatrix;

/// Scales of GPTQ as multiples of the searched ones: its targets have a wider spread than the weights themselves, but
/// errors of clipping are passed on as well.
constexpr std::array<float, 4> kScaleFactors = {0.86f, 0.93f, 1.07f, 1.15f};

/// Of the Hessian, relative to its mean diagonal. Codes of 4-bit activations add about this much noise to each input
/// that the moments of the stream, taken before the site's own quantiser, do not show.
constexpr double kDamping = 0.1;
/// How far targets follow the drift. The whole correction is the least-squares answer, which also shrinks the weights
/// by what noise there is in the inputs; text that did not calibrate is served better half of the way.
constexpr double kDriftShare = 0.5;
constexpr int kSweeps = 8;

std::vector<float> diagonalShares(const MatrixD& hessian) {
    const double largest = hessian.diagonal().maxCoeff();
    std::vector<float> shares(static_cast<size_t>(hessian.rows()), 1.0f);
    if (largest > 0)
        for (Index i = 0; i < hessian.rows(); ++i)
            shares[static_cast<size_t>(i)] = static_cast<float>(std::max(hessian(i, i), 0.0) / largest);
    return shares;
}

/// The scales times `factor`, in the precision they are stored in; those that would not stay normal numbers are kept.
void scaleBy(QuantisedMatrix& matrix, float factor) {
    for (float& scale : matrix.scales) {
        const float wanted =
            matrix.halfScales ? format::halfToFloat(format::floatToHalf(scale * factor)) : scale * factor;
        if (wanted >= (matrix.halfScales ? 0x1p-14f : 0x1p-126f) && wanted < 65504.0f) scale = wanted;
    }
}

/// Rows of `from` for which `better` says so.
void takeRows(QuantisedMatrix& matrix, const QuantisedMatrix& from, const std::vector<Index>& better) {
    const auto groups = static_cast<Index>(matrix.groups()), columns = static_cast<Index>(matrix.columns);
    const auto copy = [&](auto& to, const auto& source, Index row, Index width) {
        std::copy_n(source.begin() + row * width, width, to.begin() + row * width);
    };
    for (const Index row : better) {
        copy(matrix.codes, from.codes, row, columns);
        copy(matrix.scales, from.scales, row, groups);
        copy(matrix.codeSums, from.codeSums, row, groups);
    }
}

QuantisedMatrix roundGptq(const CalibrateOptions& options, const Matrix& w, const GptqFactor& factor,
                          const std::vector<float>& shares, const GptqOptions& gptqOptions, int threads) {
    const QuantisedMatrix start =
        roundWeights(w, options.weightBits, options.groupSize, options.scales, threads, shares);
    QuantisedMatrix best = start;
    GptqResult result = gptq(w, factor, best, gptqOptions);
    if (options.scales == format::ScaleSearch::AbsMax) return best;
    for (const float f : kScaleFactors) {
        QuantisedMatrix other = start;
        scaleBy(other, f);
        const GptqResult tried = gptq(w, factor, other, gptqOptions);
        std::vector<Index> better;
        for (Index r = 0; r < w.rows(); ++r)
            if (tried.rowErrors[r] < result.rowErrors[r]) {
                better.push_back(r);
                result.rowErrors[r] = tried.rowErrors[r];
            }
        takeRows(best, other, better);
    }
    return best;
}

}  // namespace

Matrix driftCorrected(const Matrix& w, const MatrixD& drift, const MatrixD& factor, double share, int threads) {
    if (drift.size() == 0) return w;
    const MatrixD weights = w.cast<double>();
    MatrixD change = product(weights, drift, threads);
    solveRightTransposed(factor, change, threads);
    solveRight(factor, change, threads);
    change = weights + share * change;
    return change.allFinite() ? Matrix(change.cast<float>()) : w;
}

namespace {

std::vector<Matrix> targetsOf(const std::vector<Matrix>& transformed, const InputMoments& moments, double damping,
                              int threads) {
    if (moments.drift.size() == 0) return transformed;
    MatrixD lower = moments.hessian;
    dampedCholesky(lower, damping, threads);
    std::vector<Matrix> targets;
    for (const Matrix& w : transformed)
        targets.push_back(driftCorrected(w, moments.drift, lower, kDriftShare, threads));
    return targets;
}

}  // namespace

std::vector<QuantisedMatrix> roundSite(const CalibrateOptions& options, const std::vector<Matrix>& transformed,
                                       const std::vector<float>& energy, const InputMoments& moments, int threads,
                                       std::vector<std::string>& notes) {
    std::vector<QuantisedMatrix> codes;
    if (options.rounding != Rounding::Gptq) {
        for (const Matrix& w : transformed)
            codes.push_back(roundWeights(w, options.weightBits, options.groupSize, options.scales, threads, energy));
        return codes;
    }
    GptqOptions gptqOptions;
    gptqOptions.actOrder = options.actOrder;
    gptqOptions.threads = threads;
    gptqOptions.damping = kDamping;
    const std::vector<Matrix> targets = targetsOf(transformed, moments, gptqOptions.damping, threads);
    const GptqFactor factor = gptqFactor(moments.hessian, gptqOptions);
    if (factor.factor.damping.attempts > 1)
        notes.push_back("GPTQ: the Hessian needed damping " + std::to_string(factor.factor.damping.attempts - 1) +
                        " times tenfold");
    if (!factor.deadColumns.empty())
        notes.push_back("GPTQ: " + std::to_string(factor.deadColumns.size()) + " inputs were never other than zero");
    const std::vector<float> shares = diagonalShares(moments.hessian);
    for (const Matrix& target : targets) {
        codes.push_back(roundGptq(options, target, factor, shares, gptqOptions, threads));
        improveCodes(target, moments.hessian, factor.factor.damping.added, codes.back(), kSweeps, threads);
    }
    return codes;
}

}  // namespace vulcat::calibrate
