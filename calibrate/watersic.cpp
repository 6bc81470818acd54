#include "calibrate/watersic.h"

#include "calibrate/parallel.h"
#include "calibrate/rescalers.h"
#include "calibrate/watersic_descent.h"
#include "calibrate/watersic_pass.h"

#include "base/error.h"
#include "format/half.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;
using format::ColumnModels;
using format::kMaxCode;

PassOptions passOptions(double step, const WaterSicOptions& options, int threads) {
    return {step, options.gains, options.highestCode, threads};
}

/// Bits of the codes under the best model of each column.
double codeBits(const CodeMatrix& codes, const ColumnModels& models) {
    double bits = 0;
    for (Index i = 0; i < codes.rows(); ++i)
        bits += models.choose({codes.row(i).data(), static_cast<size_t>(codes.cols())}).bits;
    return bits;
}

/// Live columns in the order of positions.
ColumnOrder liveOrder(const MatrixD& covariance, const WaterSicOptions& options, std::vector<Index>& dead) {
    const Eigen::VectorXd variance = covariance.diagonal();
    std::vector<double> sorted(variance.begin(), variance.end());
    double median = 0;
    if (!sorted.empty()) {
        const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
        std::nth_element(sorted.begin(), middle, sorted.end());
        median = *middle;
    }
    ColumnOrder natural;
    for (Index i = 0; i < variance.size(); ++i) {
        if (variance[i] > 0 && variance[i] >= options.deadBelow * median)
            natural.push_back(i);
        else
            dead.push_back(i);
    }
    if (!options.orderByVariance) return natural;
    ColumnOrder order;
    for (const Index i : descendingOrder(variance))
        if (std::binary_search(natural.begin(), natural.end(), i)) order.push_back(i);
    return order;
}

/// The weights whose distance under H is the distance of outputs: W itself, or (W cross + damping W + residual) H^-1.
MatrixD effectiveWeights(const Matrix& w, const ColumnOrder& order, const MatrixD& factor, double damping,
                         const DriftCorrection& drift, int threads) {
    const Index live = static_cast<Index>(order.size());
    MatrixD byColumns(live, w.rows());
    if (drift.cross == nullptr && drift.residual == nullptr) {
        gatherColumns(w, order, 0, w.rows(), byColumns.data());
        return byColumns;
    }
    MatrixD cross(w.cols(), live);
    for (Index k = 0; k < w.cols(); ++k)
        for (Index p = 0; p < live; ++p) {
            const Index column = order[static_cast<size_t>(p)];
            cross(k, p) = drift.cross != nullptr ? (*drift.cross)(k, column) : 0;
        }
    MatrixD wanted = product(w.cast<double>(), cross, threads);
    for (Index r = 0; r < w.rows(); ++r)
        for (Index p = 0; p < live; ++p) {
            const Index column = order[static_cast<size_t>(p)];
            wanted(r, p) += damping * static_cast<double>(w(r, column));
            if (drift.residual != nullptr) wanted(r, p) += (*drift.residual)(r, column);
        }
    solveRightTransposed(factor, wanted, threads);
    solveRight(factor, wanted, threads);
    byColumns = wanted.transpose();
    return byColumns;
}

/// Log of the step that gives `codeRate` bits a weight at high rate: each column's step is c / L[i,i] and the entropy
/// of a Gaussian in units of its step is half log2(2 pi e variance / step^2). NaN where all weights are zero.
double highRateLogStep(const MatrixD& weights, const Eigen::VectorXd& diagonal, double codeRate) {
    double sum = 0;
    Index columns = 0;
    for (Index i = 0; i < weights.rows(); ++i) {
        const double power = weights.row(i).squaredNorm() / static_cast<double>(weights.cols());
        if (!(power > 0)) continue;
        sum += std::log(power * diagonal[i] * diagonal[i]);
        ++columns;
    }
    if (columns == 0) return std::numeric_limits<double>::quiet_NaN();
    const double entropyOfStep = std::log(2 * std::numbers::pi * std::numbers::e);
    return 0.5 * (entropyOfStep + sum / static_cast<double>(columns)) - codeRate * std::numbers::ln2;
}

/// As floats, or as fp16 numbers times the power of two that brings the largest near 2^14: 11 bits hold wherever a
/// scale is above 2^-28 of the largest. (The 8 bits of bf16 would be heard at 4 bits a weight and outlier channels.)
void store(const Eigen::VectorXd& scales, const WaterSicOptions& options, std::vector<float>& out) {
    const double largest = scales.size() > 0 ? scales.cwiseAbs().maxCoeff() : 0;
    const int exponent = largest > 0 ? std::ilogb(largest) - 14 : 0;
    for (size_t i = 0; i < out.size(); ++i) {
        const double scale = scales[static_cast<Index>(i)];
        const double fraction = static_cast<double>(
            format::halfToFloat(format::floatToHalf(static_cast<float>(std::ldexp(scale, -exponent)))));
        out[i] = static_cast<float>(options.roundScales ? std::ldexp(fraction, exponent) : scale);
    }
}

void checkArguments(const Matrix& w, const MatrixD& covariance, const WaterSicOptions& options,
                    const DriftCorrection& drift) {
    const Index n = w.cols();
    const auto isShape = [](const MatrixD* m, Index rows, Index columns) {
        return m == nullptr || (m->rows() == rows && m->cols() == columns && m->allFinite());
    };
    if (!isShape(&covariance, n, n) || !isShape(drift.cross, n, n) || !isShape(drift.residual, w.rows(), n))
        throw Error(Result::InvalidArgument,
                    "a covariance given to WaterSIC has not the shape of its weight, or holds NaN or infinity");
    if (!w.allFinite()) throw Error(Result::InvalidArgument, "a weight given to WaterSIC is NaN or infinite");
    if (options.highestCode < 1 || options.highestCode > kMaxCode || !(options.rate > 0) ||
        (options.step && !(*options.step > 0 && std::isfinite(*options.step))))
        throw Error(Result::InvalidArgument, "WaterSIC needs rate > 0, step > 0 and highestCode in 1..32767");
}

struct Prepared {
    MatrixD hessian;  ///< damped, in the order of positions: what outputs are measured by
    AddedDamping damping;
    MatrixD weights;            ///< what is to be approximated under it, by columns
    CancellationFactor factor;  ///< of the Hessian, with shrinkage of the Hessian plus delta I
    double delta = 0;           ///< 0 without shrinkage
    double errorConstant = 0;   ///< delta <W H (H + delta I)^-1, W>
    MatrixD offsets;            ///< of the values that are rounded; empty without shrinkage
};

Prepared withFactor(Prepared p, int threads) {
    if (p.factor.unitLower.size() == 0) p.factor = cancellationFactor(p.hessian, 0, threads);
    return p;
}

/// The covariance in order, the weights that belong to it, and what cancellation works on. Cancelling to the last bit
/// what is smaller than the noise spends rate in vain. Directions whose variance is below the distortion of a column
/// should get no bits; the least-squares way to have that is to minimise |(W - W^) H^1/2|^2 + delta |W^|^2 with delta
/// the distortion over the variance of a weight: cancellation with H + delta I towards W H (H + delta I)^-1.
Prepared prepare(const Matrix& w, const MatrixD& covariance, const ColumnOrder& order, double codeRate,
                 const WaterSicOptions& options, const DriftCorrection& drift, int threads) {
    Prepared p;
    p.hessian = reordered(covariance, order);
    const bool drifted = drift.cross != nullptr || drift.residual != nullptr;
    if (options.step && !drifted && options.shrinkage > 0 && options.damping > 0) {
        // Nothing asks for the factor without shrinkage, and the one with it tells whether damping was enough.
        p.damping.added = options.damping * p.hessian.diagonal().mean();
    } else {
        p.factor = cancellationFactor(p.hessian, options.damping, threads);
        p.damping = p.factor.damping;
    }
    p.hessian.diagonal() = p.hessian.diagonal().cwiseMax(0.0).array() + p.damping.added;
    const auto lowerOf = [](const CancellationFactor& factor) {
        MatrixD lower = factor.unitLower;
        lower.array().rowwise() *= factor.diagonal.transpose().array();
        return lower;
    };
    if (!drifted)
        p.weights = effectiveWeights(w, order, p.hessian, 0, drift, threads);
    else
        p.weights = effectiveWeights(w, order, lowerOf(p.factor), p.damping.added, drift, threads);

    const double variance = p.weights.size() > 0 ? p.weights.squaredNorm() / static_cast<double>(p.weights.size()) : 0;
    if (!(options.shrinkage > 0) || !(variance > 0)) return withFactor(std::move(p), threads);
    const double logStep =
        options.step ? std::log(*options.step) : highRateLogStep(p.weights, p.factor.diagonal, codeRate);
    const double delta = options.shrinkage * std::exp(2 * logStep) / (12 * variance);
    if (!(delta > 0) || !std::isfinite(delta)) return withFactor(std::move(p), threads);
    MatrixD shrunken = p.hessian;
    shrunken.diagonal().array() += delta;
    p.factor = cancellationFactor(std::move(shrunken), 0, threads);
    if (p.factor.damping.added > 0) {
        p.damping.added += p.factor.damping.added;
        p.damping.attempts = p.factor.damping.attempts;
        p.hessian.diagonal().array() += p.factor.damping.added;
    }
    // With L L^T = H + delta I and X = W L^-T the shrunken target's cancellation is that of W itself, but for -delta X
    // / d.
    MatrixD x = p.weights;
    solveUnitLeft(p.factor.unitLower, x, threads);
    x.array().colwise() /= p.factor.diagonal.array();
    p.errorConstant = delta * (p.weights.squaredNorm() - delta * x.squaredNorm());
    p.delta = delta;
    x.array().colwise() *= -delta / p.factor.diagonal.array();
    p.offsets = std::move(x);
    return p;
}

/// Cancellation of some rows with the step c, and descent from there.
Cancelled codesAt(double step, const MatrixD& weights, const MatrixD& offsets, const Prepared& prepared,
                  const WaterSicOptions& options, int threads) {
    Cancelled pass = cancelWithSteps(weights, offsets, prepared.factor, passOptions(step, options, threads));
    if (prepared.delta > 0) {
        // |(W - W^) H^1/2|^2 + delta |W^|^2 is what the pass measured plus a constant (that of all rows).
        const Eigen::VectorXd energies = pass.codes.cast<double>().rowwise().squaredNorm();
        const double approximated = (pass.scales.array().square() * energies.array()).sum();
        pass.error += prepared.errorConstant - prepared.delta * approximated;
    }
    if (options.descent)
        lowerCost(weights, prepared.hessian, kBitPrice * step * step, options.highestCode, threads, pass);
    return pass;
}

struct Search {
    double step = 1;
    int runs = 0;
};

/// Secant on log c: the rate falls by one bit where c doubles, nearly.
class StepSearch {
  public:
    StepSearch(const Prepared& prepared, const ColumnModels& models, const WaterSicOptions& options, double codeRate,
               int threads)
        : prepared_(prepared), models_(models), options_(options), codeRate_(codeRate), threads_(threads) {
        const MatrixD &weights = prepared.weights, &offsets = prepared.offsets;
        const Index rows = weights.cols();
        const double wanted = std::ceil(options.searchShare * static_cast<double>(rows));
        const Index count = std::min(rows, std::max(static_cast<Index>(wanted), Index{256}));
        subset_.resize(weights.rows(), count);
        for (Index r = 0; r < count; ++r) subset_.col(r) = weights.col(r * rows / count);
        if (offsets.size() == 0) return;
        offsets_.resize(weights.rows(), count);
        for (Index r = 0; r < count; ++r) offsets_.col(r) = offsets.col(r * rows / count);
    }

    Search run() {
        const double start = highRateLogStep(subset_, prepared_.factor.diagonal, codeRate_);
        if (!std::isfinite(start)) return {};
        double x = start;
        double slope = -1 / std::numbers::ln2;
        double previousX = 0;
        double previousF = 0;
        double bestX = x;
        double bestF = std::numeric_limits<double>::infinity();
        constexpr int kMaxRuns = 6;
        for (int run = 1; run <= kMaxRuns; ++run) {
            const double f = excess(x);
            ++search_.runs;
            if (std::fabs(f) < std::fabs(bestF)) {
                bestF = f;
                bestX = x;
            }
            if (std::fabs(f) <= options_.searchTolerance) break;
            // A slope from two points too close, or where all codes are zero, says nothing.
            if (run > 1 && std::fabs(x - previousX) > 1e-6)
                slope = std::clamp((f - previousF) / (x - previousX), -2 / std::numbers::ln2, -0.2 / std::numbers::ln2);
            previousX = x;
            previousF = f;
            x -= std::clamp(f / slope, -2.0, 2.0);
        }
        search_.step = std::exp(bestX);
        return search_;
    }

  private:
    double excess(double logStep) const {
        const Cancelled pass = codesAt(std::exp(logStep), subset_, offsets_, prepared_, options_, threads_);
        return codeBits(pass.codes, models_) / static_cast<double>(subset_.size()) - codeRate_;
    }

    const Prepared& prepared_;
    const ColumnModels& models_;
    const WaterSicOptions& options_;
    double codeRate_;  ///< bits of codes a live weight
    int threads_;
    MatrixD subset_;
    MatrixD offsets_;
    Search search_;
};

/// Refines the scales, puts everything where the caller's columns are, and measures what is left of the error.
void finish(const MatrixD& weights, const MatrixD& hessian, const ColumnOrder& order, Cancelled&& pass,
            const WaterSicOptions& options, int threads, WaterSicResult& result) {
    const Index rows = weights.cols();
    Eigen::VectorXd rowScales = Eigen::VectorXd::Ones(rows);
    const double count = static_cast<double>(rows) * static_cast<double>(result.columnScales.size());
    result.outputError = count > 0 ? pass.error / count : 0;
    if (options.rescale && weights.size() > 0) {
        MatrixD rounded = pass.codes.cast<double>();
        rounded.array().colwise() *= pass.scales.array();
        // The first round finds nearly all there is; a second pays where that was much.
        constexpr int kMaxRounds = 4;
        constexpr double kWorthARound = 0.01;
        const Rescaled rescaled = rescale(weights, rounded, hessian, kWorthARound, kMaxRounds, threads);
        result.rescaleRounds = rescaled.rounds;
        pass.scales.array() *= rescaled.columns.array();
        rowScales = rescaled.rows;
        result.outputError = rescaled.error / count;
    }
    Eigen::VectorXd columnScales = Eigen::VectorXd::Zero(result.codes.cols());
    for (size_t p = 0; p < order.size(); ++p) columnScales[order[p]] = pass.scales[static_cast<Index>(p)];
    store(columnScales, options, result.columnScales);
    store(rowScales, options, result.rowScales);
    for (Index r = 0; r < rows; ++r)
        for (size_t p = 0; p < order.size(); ++p) result.codes(r, order[p]) = pass.codes(static_cast<Index>(p), r);
}

}  // namespace

Matrix WaterSicResult::dequantised() const {
    Matrix w(codes.rows(), codes.cols());
    for (Index r = 0; r < w.rows(); ++r)
        for (Index i = 0; i < w.cols(); ++i)
            w(r, i) = rowScales[static_cast<size_t>(r)] *
                      (static_cast<float>(codes(r, i)) * columnScales[static_cast<size_t>(i)]);
    return w;
}

WaterSicResult waterSic(const Matrix& w, const MatrixD& covariance, const ColumnModels& models,
                        const WaterSicOptions& options, const DriftCorrection& drift) {
    checkArguments(w, covariance, options, drift);
    const int threads = threadCount(options.threads);
    WaterSicResult result;
    result.codes = CodeMatrix::Zero(w.rows(), w.cols());
    result.columnScales.assign(static_cast<size_t>(w.cols()), 0.0f);
    result.rowScales.assign(static_cast<size_t>(w.rows()), 1.0f);
    const ColumnOrder order = liveOrder(covariance, options, result.deadColumns);
    if (w.size() == 0) return result;
    const double weightCount = static_cast<double>(w.size());
    result.sideBits = (16.0 * static_cast<double>(w.rows()) + 24.0 * static_cast<double>(w.cols()) +
                       16.0 * static_cast<double>(result.deadColumns.size())) /
                      weightCount;
    if (order.empty()) return result;

    const double live = static_cast<double>(order.size()) / static_cast<double>(w.cols());
    const double codeRate = std::max(options.rate - result.sideBits, 1e-3) / live;
    Prepared prepared = prepare(w, covariance, order, codeRate, options, drift, threads);
    result.damping = prepared.damping;
    result.step = options.step.value_or(1);
    if (!options.step) {
        const Search search = StepSearch(prepared, models, options, codeRate, threads).run();
        result.step = search.step;
        result.searchRuns = search.runs;
    }
    Cancelled pass = codesAt(result.step, prepared.weights, prepared.offsets, prepared, options, threads);
    result.clippedCodes = pass.clipped;
    result.codeBits = codeBits(pass.codes, models) / weightCount;
    finish(prepared.weights, prepared.hessian, order, std::move(pass), options, threads, result);
    return result;
}

}  // namespace vulcat::calibrate
