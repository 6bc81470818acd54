#include "calibrate/site_work.h"

#include "calibrate/coded_site.h"
#include "calibrate/plan.h"
#include "calibrate/site_steps.h"
#include "calibrate/sqnr.h"

#include "format/half.h"
#include "format/packing.h"

#include <cmath>
#include <cstdio>
#include <utility>

namespace vulcat::calibrate {

namespace {

std::vector<Matrix> plainWeights(const Site& site) {
    std::vector<Matrix> weights;
    for (const Linear& linear : site.linears) weights.push_back(linear.weight);
    return weights;
}

/// Bits on disk of the linears' codes, scales and code sums, a weight.
double storedBits(const Site& site) {
    double bits = 0, weights = 0;
    for (const Linear& linear : site.linears) {
        const format::QuantisedMatrix& q = *linear.codes;
        bits += 8.0 * static_cast<double>(q.rows * format::packedRowBytes(q.columns, q.bits)) +
                (q.halfScales ? 48.0 : 64.0) * static_cast<double>(q.rows * q.groups());
        weights += static_cast<double>(q.rows * q.columns);
    }
    return weights > 0 ? bits / weights : 0;
}

/// W diag(s)^-1; columns that are dropped (s = 0) are 0.
Matrix perColumn(const Matrix& weight, const format::Transform& columns) {
    Matrix result(weight.rows(), weight.cols());
    for (Eigen::Index k = 0; k < weight.cols(); ++k) {
        const float s = format::halfToFloat(columns.blocks[static_cast<size_t>(k)]);
        result.col(k) = s == 0 ? Eigen::VectorXf::Zero(weight.rows()) : Eigen::VectorXf(weight.col(k) / s);
    }
    return result;
}

std::string decibels(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f dB", value);
    return text;
}

}  // namespace

SiteWork::SiteWork(CalibrateOptions options, const Site& floats, const SiteInputs& inputs, int threads)
    : options_(std::move(options)),
      floats_(floats),
      inputs_(inputs),
      threads_(threads),
      weightMoments_(inputs.moments.width(), inputs.moments.block()) {
    for (const Linear& linear : floats.linears) weightMoments_.add(linear.weight, threads);
    transform_ = buildTransform();
}

bool SiteWork::heedsStream() const {
    return calibrate::heedsStream(options_);
}

SiteTransform SiteWork::buildTransform() const {
    const Eigen::Index width = inputs_.moments.width();
    const auto block = static_cast<Eigen::Index>(blockOf(options_, width));
    const std::optional<uint64_t> signs = options_.randomSigns ? std::optional<uint64_t>(options_.seed) : std::nullopt;
    switch (options_.transform) {
        case TransformKind::None:
            break;
        case TransformKind::Hadamard:
            return hadamardTransform(width, signs);
        case TransformKind::BlockHadamard:
            return blockHadamardTransform(width, block);
        case TransformKind::Cat:
            return catTransform(inputs_.moments, weightMoments_, block, AlignmentDamping{}, threads_, signs);
    }
    return {};
}

Site SiteWork::quantise(const std::vector<Matrix>& transformed, const std::optional<format::Transform>& transform,
                        const InputMoments& moments, Rounding rounding, std::vector<std::string>& notes) const {
    CalibrateOptions options = options_;
    options.rounding = rounding;
    const Matrix& rows = inputs_.rows;
    const std::vector<float> energy = relativeMeanSquares(transform ? applyTransform(*transform, rows) : rows);
    std::vector<format::QuantisedMatrix> codes = roundSite(options, transformed, energy, moments, threads_, notes);
    Site site;
    site.recipe = siteRecipe(options, transform);
    site.transform = transform;
    for (size_t i = 0; i < codes.size(); ++i) {
        Linear& linear = site.linears.emplace_back();
        linear.bias = floats_.linears[i].bias;
        linear.codes = std::move(codes[i]);
    }
    return site;
}

SiteQuality SiteWork::judgeNearest(const std::optional<format::Transform>& transform,
                                   const std::vector<Matrix>& transformed) const {
    std::vector<std::string> none;
    return judgeSite(quantise(transformed, transform, {}, Rounding::Nearest, none), floats_.linears, transformed,
                     inputs_.rows, threads_);
}

void SiteWork::judgeSteps(const std::vector<Matrix>& transformed, SiteReport& report) const {
    if (!transform_.stored) return;
    if (options_.rounding != Rounding::Nearest) report.mixed = judgeNearest(transform_.stored, transformed);
    const std::optional<format::Transform> alone = alignmentAlone(*transform_.stored, threads_);
    if (!alone) return;
    std::vector<Matrix> aligned;
    for (const Linear& linear : floats_.linears) aligned.push_back(transformWeights(*alone, linear.weight, threads_));
    report.aligned = judgeNearest(alone, aligned);
}

void SiteWork::keepEightBits(const std::vector<Matrix>& transformed, const InputMoments& moments, Site& quantised,
                             SiteReport& report) {
    if (!options_.leastSqnr || options_.weightBits != 4 || report.after.measured >= *options_.leastSqnr) return;
    options_.weightBits = 8;
    options_.activationBits = std::max(options_.activationBits, 8);
    const double before = report.after.measured;
    quantised = quantise(transformed, transform_.stored, moments, options_.rounding, report.notes);
    report.after = judgeSite(quantised, floats_.linears, transformed, inputs_.rows, threads_);
    report.notes.push_back("8 bits: with 4 the site kept " + decibels(before) + ", less than the " +
                           decibels(*options_.leastSqnr) + " asked for; with 8 it keeps " +
                           decibels(report.after.measured));
}

void SiteWork::roundWhole(const InputMoments& moments, Site& quantised, SiteReport& report) {
    std::vector<Matrix> transformed = plainWeights(floats_);
    if (transform_.stored)
        for (Matrix& weight : transformed) weight = transformWeights(*transform_.stored, weight, threads_);
    quantised = quantise(transformed, transform_.stored, moments, options_.rounding, report.notes);
    report.after = judgeSite(quantised, floats_.linears, transformed, inputs_.rows, threads_);
    judgeSteps(transformed, report);
    keepEightBits(transformed, moments, quantised, report);
    if (transform_.stored && report.after.measured < report.before.measured)
        report.notes.push_back("the transform did not help here: measured SQNR fell");
    report.bitsPerWeight = storedBits(quantised);
}

void SiteWork::roundCoded(const InputMoments& moments, Site& quantised, SiteReport& report) {
    CodedSite coded = codeSite(floats_.linears, moments, options_.rate, threads_, report.notes);
    quantised.transform = std::move(coded.columns);
    quantised.recipe = siteRecipe(options_, quantised.transform);
    quantised.recipe.coded = true;
    std::vector<Matrix> transformed;
    for (size_t i = 0; i < coded.codes.size(); ++i) {
        Linear& linear = quantised.linears.emplace_back();
        linear.bias = floats_.linears[i].bias;
        linear.codes = std::move(coded.codes[i]);
        transformed.push_back(perColumn(floats_.linears[i].weight, *quantised.transform));
    }
    report.after = judgeSite(quantised, floats_.linears, transformed, inputs_.rows, threads_);
    report.bitsPerWeight = coded.bitsPerWeight;
    report.limitBits = coded.limitBits;
}

SiteReport SiteWork::finish(const InputMoments& moments, Site& quantised) {
    SiteReport report;
    report.inputs = static_cast<int>(inputs_.moments.width());
    for (const Linear& linear : floats_.linears) report.outputs += static_cast<int>(linear.outputs());
    report.notes = transform_.notes;
    report.before = judgeNearest(std::nullopt, plainWeights(floats_));
    if (options_.rounding == Rounding::WaterSic)
        roundCoded(moments, quantised, report);
    else
        roundWhole(moments, quantised, report);
    // As the report's file has it, so that a run that goes on later reckons with the same number.
    report.bitsPerWeight = std::round(report.bitsPerWeight * 1e4) / 1e4;
    report.block = quantised.recipe.block;
    report.mixOrder = quantised.recipe.mixOrder;
    report.mixStride = quantised.recipe.mixStride;
    report.weightBits = quantised.recipe.weightBits;
    report.activationBits = quantised.recipe.activationBits;
    report.rounding = nameOf(options_.rounding);
    const double signal = meanSignal(floats_.linears, inputs_.rows, threads_);
    const auto block = static_cast<Eigen::Index>(blockOf(options_, report.inputs));
    const Eigen::Index kept = inputs_.moments.whole() ? block : std::min(block, inputs_.moments.block());
    report.attainableBlock = attainableAlignment(inputs_.moments, weightMoments_, kept, signal, threads_);
    if (inputs_.moments.whole() && report.inputs <= kWholeMomentsWidth)
        report.attainable = attainableAlignment(inputs_.moments, weightMoments_, 0, signal, threads_);
    return report;
}

}  // namespace vulcat::calibrate
