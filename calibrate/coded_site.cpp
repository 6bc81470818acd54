#include "calibrate/coded_site.h"

#include "calibrate/rate_limit.h"
#include "calibrate/watersic.h"

#include "format/half.h"
#include "format/packing.h"

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

/// Bytes of the container beyond what WaterSIC's own account knows: header, chunk sizes and states.
constexpr double kContainerBits = 8.0 * 64;
constexpr double kLeastRate = 0.25;

Matrix stacked(const std::vector<Linear>& linears) {
    Index rows = 0;
    for (const Linear& linear : linears) rows += linear.outputs();
    Matrix all(rows, linears.front().inputs());
    Index first = 0;
    for (const Linear& linear : linears) {
        all.middleRows(first, linear.outputs()) = linear.weight;
        first += linear.outputs();
    }
    return all;
}

/// Columns times 2^-shift and rows times 2^shift: the power of two that WaterSIC leaves free is chosen so that rows are
/// normal fp16 numbers and columns use what range is left.
int columnShift(const WaterSicResult& result) {
    float column = 0, row = INFINITY;
    for (const float s : result.columnScales) column = std::max(column, std::fabs(s));
    for (const float s : result.rowScales)
        if (s != 0) row = std::min(row, std::fabs(s));
    if (!(column > 0) || !std::isfinite(row)) return 0;
    constexpr int kTop = 14;
    const int rowsNormal = -13 - std::ilogb(row);
    return std::max(std::ilogb(column) - kTop, rowsNormal);
}

format::Transform columnTransform(const WaterSicResult& result, int shift) {
    format::Transform t;
    t.width = result.columnScales.size();
    t.block = 1;
    for (const float s : result.columnScales) t.blocks.push_back(format::floatToHalf(std::ldexp(s, -shift)));
    return t;
}

format::QuantisedMatrix rowsOf(const WaterSicResult& result, Index first, Index count, int shift) {
    format::QuantisedMatrix q;
    q.rows = static_cast<uint64_t>(count);
    q.columns = result.columnScales.size();
    q.bits = 8;
    q.coded = true;
    q.halfScales = true;
    for (Index r = first; r < first + count; ++r) {
        const float scale = std::ldexp(result.rowScales[static_cast<size_t>(r)], shift);
        const bool zero = std::fabs(scale) < 0x1p-126f;
        for (Index k = 0; k < result.codes.cols(); ++k) {
            const int32_t code = zero ? 0 : result.codes(r, k);
            q.codes.push_back(static_cast<int8_t>(scale < 0 ? -code : code));
        }
        q.scales.push_back(zero ? 0.0f : std::fabs(scale));
        const bool half = format::halfToFloat(format::floatToHalf(q.scales.back())) == q.scales.back();
        q.halfScales = q.halfScales && half && (zero || q.scales.back() >= 0x1p-14f);
    }
    q.codeSums.resize(q.rows);
    for (uint64_t r = 0; r < q.rows; ++r)
        format::sumCodes(std::span<const int8_t>(q.codes).subspan(r * q.columns, q.columns), 0,
                         std::span(q.codeSums).subspan(r, 1));
    return q;
}

/// The rate at which Gaussian weights of the same row variances could reach the same output error.
std::optional<double> limitOf(const Matrix& target, const MatrixD& hessian, const WaterSicResult& result) {
    if (target.cols() > kLimitWidth || !(result.outputError > 0)) return std::nullopt;
    MatrixD damped = hessian;
    damped.diagonal().array() += result.damping.added;
    Eigen::VectorXd variances(target.rows());
    for (Index r = 0; r < target.rows(); ++r)
        variances[r] = target.row(r).cast<double>().squaredNorm() / static_cast<double>(target.cols());
    return rateLimit(variances, spectrum(std::move(damped)), result.outputError);
}

}  // namespace

CodedSite codeSite(const std::vector<Linear>& linears, const InputMoments& moments, double rate, int threads,
                   std::vector<std::string>& notes) {
    const Matrix all = stacked(linears);
    const double weights = static_cast<double>(all.size());
    WaterSicOptions options;
    options.threads = threads;
    options.rate = std::max(rate - kContainerBits * static_cast<double>(linears.size()) / weights, kLeastRate);
    const format::ColumnModels models;
    Matrix target = all;
    if (moments.drift.size() > 0) {
        MatrixD lower = moments.hessian;
        dampedCholesky(lower, options.damping, threads);
        target = driftCorrected(all, moments.drift, lower, 1.0, threads);
    }
    const WaterSicResult result = waterSic(target, moments.hessian, models, options);
    if (result.damping.attempts > 1)
        notes.push_back("WaterSIC: the covariance needed damping " + std::to_string(result.damping.attempts - 1) +
                        " times tenfold");
    if (!result.deadColumns.empty())
        notes.push_back("WaterSIC: " + std::to_string(result.deadColumns.size()) +
                        " inputs hardly ever differ from zero and were dropped");
    if (result.clippedCodes > 0)
        notes.push_back("WaterSIC: " + std::to_string(result.clippedCodes) + " codes were clipped to 8 bits");
    CodedSite site;
    const int shift = columnShift(result);
    site.columns = columnTransform(result, shift);
    site.step = result.step;
    double bits = 16.0 * static_cast<double>(all.cols());
    Index first = 0;
    for (const Linear& linear : linears) {
        site.codes.push_back(rowsOf(result, first, linear.outputs(), shift));
        first += linear.outputs();
        const format::QuantisedMatrix& q = site.codes.back();
        bits += 8.0 * static_cast<double>(format::entropyCoded(q).size()) +
                (q.halfScales ? 16.0 : 32.0) * static_cast<double>(q.rows);
    }
    site.bitsPerWeight = bits / weights;
    site.limitBits = limitOf(target, moments.hessian, result);
    return site;
}

double remainingRate(double rate, double allWeights, double doneWeights, double doneBits) {
    const double left = allWeights - doneWeights;
    return left > 0 ? std::max((rate * allWeights - doneBits) / left, kLeastRate) : rate;
}

}  // namespace vulcat::calibrate
