#include "calibrate/sqnr.h"

#include "calibrate/cat.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

namespace vulcat::calibrate {

namespace {

double squares(const Matrix& m) {
    double sum = 0;
    for (Eigen::Index r = 0; r < m.rows(); ++r) sum += m.row(r).cast<double>().squaredNorm();
    return sum;
}

/// Steps that the grid of a symmetric code spans: from -largest to +largest.
double symmetricSteps(int bits) {
    return bits == 4 ? 14.0 : 254.0;
}

/// Sum over rows of the squared step of each row's grid, and of the squared range it spans.
struct GridSums {
    double steps = 0, ranges = 0;
};

GridSums activationGrid(const format::SiteRecipe& recipe, const Matrix& x) {
    GridSums sums;
    if (recipe.activationBits == 16) {
        for (Eigen::Index r = 0; r < x.rows(); ++r) sums.ranges += std::pow(2.0 * x.row(r).cwiseAbs().maxCoeff(), 2);
        return sums;
    }
    const auto format = format::activationFormat(recipe.activationBits, recipe.activationSymmetric);
    const double steps =
        format == format::ActivationFormat::A4Asymmetric ? 15.0 : symmetricSteps(recipe.activationBits);
    std::vector<int8_t> codes(static_cast<size_t>(x.cols()));
    for (Eigen::Index r = 0; r < x.rows(); ++r) {
        const auto header = format::quantiseRow({x.row(r).data(), codes.size()}, format, codes);
        const double square = std::pow(static_cast<double>(header.scale), 2);
        sums.steps += square;
        sums.ranges += square * steps * steps;
    }
    return sums;
}

/// The same for the weight grids, each group weighed by the mean energy of its inputs: sum_og s^2 E||x_g||^2.
GridSums weightGrid(const format::QuantisedMatrix& q, const Eigen::VectorXd& energy) {
    GridSums sums;
    const auto groups = static_cast<Eigen::Index>(q.groups());
    const Eigen::Index width = q.groupSize == 0 ? energy.size() : static_cast<Eigen::Index>(q.groupSize);
    for (Eigen::Index g = 0; g < groups; ++g) {
        const Eigen::Index begin = g * width;
        const double inputs = energy.segment(begin, std::min(width, energy.size() - begin)).sum();
        for (Eigen::Index n = 0; n < static_cast<Eigen::Index>(q.rows); ++n) {
            const double scale = static_cast<double>(q.scales[static_cast<size_t>(n * groups + g)]);
            sums.steps += scale * scale * inputs;
        }
    }
    sums.ranges = sums.steps * std::pow(symmetricSteps(q.bits), 2);
    return sums;
}

/// ||W x||^2 and ||W x - y||^2, summed over rows.
struct OutputSums {
    double signal = 0, noise = 0;
};

OutputSums outputSums(const Site& quantised, const std::vector<Linear>& weights, const Matrix& rows) {
    OutputSums sums;
    const std::vector<Matrix> outputs = apply(quantised, rows);
    for (size_t i = 0; i < weights.size(); ++i) {
        Matrix exact = multiplyTransposed(rows, weights[i].weight);
        sums.signal += squares(exact);
        if (!weights[i].bias.empty())
            exact.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(weights[i].bias.data(), exact.cols());
        sums.noise += squares(exact - outputs[i]);
    }
    return sums;
}

/// Adds up what `work` finds in pieces of the rows, which are of one size for any number of threads.
OutputSums sumsOfPieces(const Matrix& rows, int threads, const std::function<OutputSums(const Matrix&)>& work) {
    constexpr auto kPiece = static_cast<Eigen::Index>(kJudgedRows);
    std::vector<OutputSums> pieces(static_cast<size_t>((rows.rows() + kPiece - 1) / kPiece));
    parallelFor(pieces.size(), threads, [&](size_t p) {
        const Eigen::Index first = static_cast<Eigen::Index>(p) * kPiece;
        pieces[p] = work(rows.middleRows(first, std::min(kPiece, rows.rows() - first)));
    });
    OutputSums all;
    for (const OutputSums& piece : pieces) {
        all.signal += piece.signal;
        all.noise += piece.noise;
    }
    return all;
}

}  // namespace

double decibel(double signal, double noise) {
    if (!(noise > 0.0)) return kNoNoise;
    if (!(signal > 0.0)) return -kNoNoise;
    return std::clamp(10.0 * std::log10(signal / noise), -kNoNoise, kNoNoise);
}

std::vector<float> relativeMeanSquares(const Matrix& rows) {
    Eigen::VectorXd sums = Eigen::VectorXd::Zero(rows.cols());
    for (Eigen::Index r = 0; r < rows.rows(); ++r) sums += rows.row(r).cast<double>().cwiseAbs2().transpose();
    const double largest = sums.maxCoeff();
    if (!(largest > 0.0)) sums.setOnes();
    const Eigen::VectorXf shares = (sums / (largest > 0.0 ? largest : 1.0)).cast<float>();
    return {shares.data(), shares.data() + shares.size()};
}

double meanSignal(const std::vector<Linear>& weights, const Matrix& rows, int threads) {
    const OutputSums sums = sumsOfPieces(rows, threads, [&](const Matrix& piece) {
        OutputSums of;
        for (const Linear& linear : weights) of.signal += squares(multiplyTransposed(piece, linear.weight));
        return of;
    });
    return sums.signal / static_cast<double>(rows.rows());
}

SiteQuality judgeSite(const Site& quantised, const std::vector<Linear>& weights, const std::vector<Matrix>& transformed,
                      const Matrix& rows, int threads) {
    const Matrix x = quantised.transform ? applyTransform(*quantised.transform, rows) : rows;
    const auto count = static_cast<double>(rows.rows());
    Eigen::VectorXd energy = Eigen::VectorXd::Zero(x.cols());
    for (Eigen::Index r = 0; r < x.rows(); ++r) energy += x.row(r).cast<double>().cwiseAbs2().transpose();
    energy /= count;
    const GridSums gridX = activationGrid(quantised.recipe, x);
    GridSums gridW;
    double weightSquares = 0;
    for (size_t i = 0; i < transformed.size(); ++i) {
        weightSquares += squares(transformed[i]);
        if (!quantised.linears[i].codes) continue;
        const GridSums sums = weightGrid(*quantised.linears[i].codes, energy);
        gridW.steps += sums.steps;
        gridW.ranges += sums.ranges;
    }
    const auto [signal, noise] =
        sumsOfPieces(rows, threads, [&](const Matrix& piece) { return outputSums(quantised, weights, piece); });
    const double inputs = energy.sum();
    const double predictedNoise = gridX.steps / count / 12.0 * weightSquares + gridW.steps / 12.0;
    SiteQuality quality;
    quality.concentrationX = decibel(inputs * count, gridX.ranges);
    quality.concentrationW = decibel(weightSquares * inputs, gridW.ranges);
    quality.alignment = decibel(signal / count, weightSquares * inputs);
    quality.predicted = decibel(signal / count, predictedNoise);
    quality.measured = decibel(signal, noise);
    return quality;
}

double attainableAlignment(const SecondMoments& x, const SecondMoments& w, Eigen::Index block, double signal,
                           int threads) {
    const Eigen::Index width = x.width(), k = block == 0 ? width : std::min(block, width);
    std::vector<double> roots(static_cast<size_t>((width + k - 1) / k));
    parallelFor(roots.size(), threads, [&](size_t b) {
        const Eigen::Index first = static_cast<Eigen::Index>(b) * k, n = std::min(k, width - first);
        roots[b] = alignmentRoots(x.part(first, n), w.part(first, n));
    });
    const double sum = std::accumulate(roots.begin(), roots.end(), 0.0);
    return decibel(signal * static_cast<double>(std::max<uint64_t>(x.rows(), 1)), sum * sum);
}

}  // namespace vulcat::calibrate
