#include "calibrate/bit_plan.h"

#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/rounding.h"
#include "calibrate/sqnr.h"
#include "calibrate/transforms.h"

#include <algorithm>
#include <numeric>

namespace vulcat::calibrate {

namespace {

/// Evenly spread rows.
Matrix someRows(const Matrix& x, Eigen::Index most) {
    const Eigen::Index count = std::min(most, x.rows());
    Matrix rows(count, x.cols());
    for (Eigen::Index i = 0; i < count; ++i) rows.row(i) = x.row(i * x.rows() / count);
    return rows;
}

Matrix joined(const std::vector<Matrix>& parts) {
    Eigen::Index count = 0;
    for (const Matrix& part : parts) count += part.rows();
    Matrix rows(count, parts.front().cols());
    Eigen::Index first = 0;
    for (const Matrix& part : parts) {
        rows.middleRows(first, part.rows()) = part;
        first += part.rows();
    }
    return rows;
}

double trialSqnr(const CalibrateOptions& options, const Site& floats, const Matrix& rows, int threads) {
    Site site;
    site.transform = hadamardTransform(rows.cols()).stored;
    site.recipe = siteRecipe(options, site.transform);
    std::vector<Matrix> transformed;
    for (const Linear& linear : floats.linears) {
        transformed.push_back(site.transform ? transformWeights(*site.transform, linear.weight, threads)
                                             : linear.weight);
        Linear& codes = site.linears.emplace_back();
        codes.bias = linear.bias;
        codes.codes = roundWeights(transformed.back(), 4, options.groupSize, options.scales, threads);
    }
    return judgeSite(site, floats.linears, transformed, rows, threads).measured;
}

double weightsOf(const Site& site) {
    double weights = 0;
    for (const Linear& linear : site.linears) weights += static_cast<double>(linear.weight.size());
    return weights;
}

}  // namespace

std::vector<SiteBits> planBits(const CalibrateOptions& options, const Decoder& decoder, const TrialRows& trialRows,
                               int threads) {
    std::vector<SiteBits> plan;
    std::vector<double> weights;
    for (int l = 0; l < decoder.config().layers; ++l) {
        const Layer layer = decoder.layer(l);
        const std::vector<Matrix> rows = trialRows(l, layer);
        for (SiteKind kind : format::kSites) {
            plan.push_back({4, trialSqnr(options, layer.site(kind), rows[static_cast<size_t>(kind)], threads)});
            weights.push_back(weightsOf(layer.site(kind)));
        }
    }
    std::vector<size_t> worstFirst(plan.size());
    std::iota(worstFirst.begin(), worstFirst.end(), size_t{0});
    std::stable_sort(worstFirst.begin(), worstFirst.end(),
                     [&](size_t a, size_t b) { return plan[a].sqnr < plan[b].sqnr; });
    const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
    double spare = (options.targetBits.value_or(4.0) - 4.0) * all;
    for (const size_t site : worstFirst) {
        if (4 * weights[site] > spare) continue;
        spare -= 4 * weights[site];
        plan[site].weightBits = 8;
    }
    return plan;
}

TrialRows rowsOfTexts(const Decoder& decoder, std::span<const Sequence> sequences, int threads, TrialSize size) {
    const size_t count = std::min(size.sequences, sequences.size());
    std::vector<Matrix> hidden;
    for (size_t s = 0; s < count; ++s) hidden.push_back(decoder.embed(sequences[s]));
    return [&decoder, threads, size, hidden = std::move(hidden)](int, const Layer& layer) mutable {
        std::vector<std::vector<Matrix>> parts(format::kSites.size(), std::vector<Matrix>(hidden.size()));
        parallelFor(hidden.size(), threads, [&](size_t s) {
            decoder.run(layer, hidden[s], [&](SiteKind kind, const Matrix& x) {
                parts[static_cast<size_t>(kind)][s] = someRows(x, size.rows);
            });
        });
        std::vector<Matrix> rows;
        for (const std::vector<Matrix>& site : parts) rows.push_back(joined(site));
        return rows;
    };
}

TrialRows rowsOfStatistics(const StatisticsSource& statistics) {
    return [&statistics](int index, const Layer&) {
        std::vector<Matrix> rows;
        for (SiteInputs& site : statistics.layer(index)) rows.push_back(std::move(site.rows));
        return rows;
    };
}

}  // namespace vulcat::calibrate
