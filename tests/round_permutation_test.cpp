// Permutations: the l1 bound, mass diffusion against its paper and its bar, aligned blocks against planted structure.
#include "calibrate/permutation.h"

#include "round_support.h"

#include "base/error.h"
#include "format/quantise.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

using namespace vulcat::calibrate;
using namespace vulcat::test;
namespace format = vulcat::format;

bool isPermutation(ColumnOrder order, Index n) {
    std::sort(order.begin(), order.end());
    if (static_cast<Index>(order.size()) != n) return false;
    for (Index i = 0; i < n; ++i)
        if (order[static_cast<size_t>(i)] != i) return false;
    return true;
}

/// In-place orthonormal Hadamard transform of each run of `block` values; block is a power of two.
void rotateBlocks(Eigen::VectorXd& x, Index block) {
    for (Index half = 1; half < block; half *= 2)
        for (Index i = 0; i < x.size(); ++i)
            if ((i & half) == 0) {
                const double a = x[i];
                const double b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
    x /= std::sqrt(static_cast<double>(block));
}

Eigen::VectorXd permuted(const Eigen::VectorXd& x, const ColumnOrder& order) {
    Eigen::VectorXd y(x.size());
    for (Index i = 0; i < x.size(); ++i) y[i] = x[order[static_cast<size_t>(i)]];
    return y;
}

ColumnOrder identityOrder(Index n) {
    ColumnOrder order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), Index{0});
    return order;
}

/// The loop of the paper: blocks seeded with the heaviest channels, then each channel to the lightest block with room.
ColumnOrder massDiffusionPlainly(const Eigen::VectorXd& mass, Index block) {
    const Index blocks = mass.size() / block;
    const ColumnOrder sorted = descendingOrder(mass);
    std::vector<ColumnOrder> members(static_cast<size_t>(blocks));
    std::vector<double> load(static_cast<size_t>(blocks), 0);
    for (const Index channel : sorted) {
        size_t lightest = members.size();
        for (size_t j = 0; j < members.size(); ++j)
            if (static_cast<Index>(members[j].size()) < block &&
                (lightest == members.size() || load[j] < load[lightest]))
                lightest = j;
        members[lightest].push_back(channel);
        load[lightest] += mass[channel];
    }
    ColumnOrder order;
    for (const ColumnOrder& part : members) order.insert(order.end(), part.begin(), part.end());
    return order;
}

TEST_CASE("the l1 bound on a block-rotated vector is never violated in 10,000 vectors") {
    Rng rng(1);
    int tight = 0;
    for (int trial = 0; trial < 10000; ++trial) {
        const Index block = Index{1} << rng.integer(0, 6);
        const Index n = block * rng.integer(1, 6);
        Eigen::VectorXd x(n);
        const double tail = rng.uniform(0.2, 4);
        for (Index i = 0; i < n; ++i) {
            const double g = rng.gaussian();
            x[i] = std::copysign(std::pow(std::fabs(g), tail), g) * (rng.uniform() < 0.02 ? 100 : 1);
        }
        const ColumnOrder order = massDiffusion(x.cwiseAbs(), block);
        const double bound = blockBounds(x.cwiseAbs(), order, block).maxCoeff();
        Eigen::VectorXd rotated = permuted(x, order);
        rotateBlocks(rotated, block);
        const double largest = rotated.cwiseAbs().maxCoeff();
        REQUIRE(largest <= bound * (1 + 1e-12));
        tight += largest > 0.99 * bound ? 1 : 0;
    }
    CHECK(tight > 100);  // the bound is met, so the check has teeth
}

TEST_CASE("mass diffusion is the paper's greedy, and balances ragged blocks by the bound") {
    Rng rng(2);
    for (const auto& [n, block] : {std::pair<Index, Index>{64, 16}, {96, 8}, {512, 32}, {30, 1}, {16, 16}}) {
        Eigen::VectorXd mass(n);
        for (Index i = 0; i < n; ++i) mass[i] = std::exp(rng.gaussian());
        CHECK(massDiffusion(mass, block) == massDiffusionPlainly(mass, block));
    }
    Eigen::VectorXd mass(172);
    for (Index i = 0; i < 172; ++i) mass[i] = std::exp(rng.gaussian());
    const ColumnOrder order = massDiffusion(mass, 64);
    CHECK(isPermutation(order, 172));
    const Eigen::VectorXd bounds = blockBounds(mass, order, 64);
    CHECK(bounds.size() == 3);
    CHECK(bounds.maxCoeff() <= 1.2 * bounds.minCoeff());
    CHECK(massDiffusion(Eigen::VectorXd(), 16).empty());
    CHECK(isPermutation(massDiffusion(Eigen::VectorXd::Zero(40), 16), 40));
    CHECK_THROWS_AS(massDiffusion(mass, 0), vulcat::Error);
    mass[3] = -1;
    CHECK_THROWS_AS(massDiffusion(mass, 16), vulcat::Error);
}

/// Signal to noise of 4-bit asymmetric codes per token after a permutation and a block Hadamard, dB.
double codedDecibels(const MatrixD& x, const ColumnOrder& order, Index block) {
    double signal = 0;
    double noise = 0;
    std::vector<float> row(static_cast<size_t>(x.cols()));
    std::vector<int8_t> codes(row.size());
    std::vector<float> back(row.size());
    for (Index t = 0; t < x.rows(); ++t) {
        Eigen::VectorXd rotated = permuted(x.row(t), order);
        rotateBlocks(rotated, block);
        Eigen::VectorXf::Map(row.data(), x.cols()) = rotated.cast<float>();
        const format::RowHeader header = format::quantiseRow(row, format::ActivationFormat::A4Asymmetric, codes);
        format::dequantiseRow(header, codes, back);
        for (size_t i = 0; i < row.size(); ++i) {
            const double error = static_cast<double>(row[i]) - static_cast<double>(back[i]);
            signal += static_cast<double>(row[i]) * static_cast<double>(row[i]);
            noise += error * error;
        }
    }
    return 10 * std::log10(signal / noise);
}

struct Recovery {
    double none, diffused, full;
    double share() const { return (diffused - none) / (full - none); }
};

Recovery recovery(const MatrixD& x, Index block) {
    const Index half = x.rows() / 2;
    const Eigen::VectorXd mass = x.topRows(half).cwiseAbs().colwise().mean();
    const MatrixD held = x.bottomRows(half);
    const ColumnOrder identity = identityOrder(x.cols());
    return {codedDecibels(held, identity, block), codedDecibels(held, massDiffusion(mass, block), block),
            codedDecibels(held, identity, x.cols())};
}

TEST_CASE("at block 16 mass diffusion recovers 75 % of the dB between no permutation and the full rotation") {
    // Heavy tails from channels: widths are log-normal and neighbours are alike, as the outliers of a head or an expert
    // are; tokens are Gaussian in each channel.
    Rng rng(3);
    const Index n = 1024;
    MatrixD x(256, n);
    double wave = rng.gaussian();
    for (Index i = 0; i < n; ++i) {
        wave = 0.95 * wave + std::sqrt(1 - 0.95 * 0.95) * rng.gaussian();
        const double width = std::exp(0.9 * wave);
        for (Index t = 0; t < x.rows(); ++t) x(t, i) = width * rng.gaussian();
    }
    const Recovery channels = recovery(x, 16);
    MESSAGE("log-normal channels: none " << channels.none << " dB, diffused " << channels.diffused << ", full "
                                         << channels.full << ": recovers " << 100 * channels.share() << " %");
    CHECK(channels.share() >= 0.75);

    // Where single entries are heavy-tailed as well (gated products), no permutation can spread them beyond a block.
    for (Index t = 0; t < x.rows(); ++t)
        for (Index i = 0; i < n; ++i) {
            const double gate = rng.gaussian();
            x(t, i) *= gate / (1 + std::exp(-gate));
        }
    const Recovery entries = recovery(x, 16);
    MESSAGE("gated products: none " << entries.none << " dB, diffused " << entries.diffused << ", full " << entries.full
                                    << ": recovers " << 100 * entries.share() << " %");
    CHECK(entries.diffused > entries.none + 1);
}

/// The square root of the least tr(P Sigma_x) tr(P^-1 Sigma_w) over block-diagonal P: the smaller, the better aligned.
double blockObjective(const MatrixD& sigmaX, const MatrixD& sigmaW, const ColumnOrder& order, Index block) {
    const MatrixD x = reordered(sigmaX, order);
    const MatrixD w = reordered(sigmaW, order);
    double sum = 0;
    for (Index i = 0; i < x.rows(); i += block) {
        const Index b = std::min(block, x.rows() - i);
        MatrixD root = w.block(i, i, b, b);
        dampedCholesky(root, 0, 1);
        // Singular values of W Sigma_x^1/2 are the square roots of these eigenvalues.
        const MatrixD gram = transposedTimes(root, times(x.block(i, i, b, b), root));
        sum += symmetricEigenvalues(gram).cwiseMax(0.0).cwiseSqrt().sum();
    }
    return sum;
}

TEST_CASE("aligned blocks find planted groups, keep the mass bound, and align better than mass diffusion") {
    Rng rng(4);
    const Index n = 128;
    const Index block = 16;
    // Groups of 16 share a covariance with a wide spectrum in a random basis; then channels are shuffled.
    MatrixD sigmaX = 1e-3 * MatrixD::Identity(n, n);
    MatrixD sigmaW = 1e-3 * MatrixD::Identity(n, n);
    for (Index i = 0; i < n; i += block) {
        const MatrixD q = randomRotation(rng, block);
        const MatrixD r = randomRotation(rng, block);
        Eigen::VectorXd spectrum(block);
        for (Index k = 0; k < block; ++k) spectrum[k] = std::exp(-0.5 * static_cast<double>(k));
        sigmaX.block(i, i, block, block) += congruence(q, spectrum);
        sigmaW.block(i, i, block, block) += congruence(r, spectrum);
    }
    ColumnOrder shuffle = identityOrder(n);
    for (Index i = n - 1; i > 0; --i)
        std::swap(shuffle[static_cast<size_t>(i)], shuffle[static_cast<size_t>(rng.integer(0, i))]);
    const MatrixD mixedX = reordered(sigmaX, shuffle);
    const MatrixD mixedW = reordered(sigmaW, shuffle);
    Eigen::VectorXd mass = mixedX.diagonal().cwiseSqrt();

    const Matrix affinity = channelAffinity(mixedX, mixedW, 1e-6, 2);
    CHECK((affinity - affinity.transpose()).cwiseAbs().maxCoeff() < 1e-5f);
    const ColumnOrder diffused = massDiffusion(mass, block);
    AlignedBlocksOptions options;
    options.massSlack = 0.3;
    const ColumnOrder aligned = alignedBlocks(affinity, mass, block, options);
    CHECK(isPermutation(aligned, n));
    CHECK(aligned == alignedBlocks(affinity, mass, block, options));
    const double allowed = blockBounds(mass, diffused, block).maxCoeff() * 1.3;
    CHECK(blockBounds(mass, aligned, block).maxCoeff() <= allowed * (1 + 1e-12));
    CHECK(affinityInside(affinity, aligned, block) > 2 * affinityInside(affinity, diffused, block));

    const double full = blockObjective(mixedX, mixedW, identityOrder(n), n);
    const double none = blockObjective(mixedX, mixedW, diffused, block);
    const double found = blockObjective(mixedX, mixedW, aligned, block);
    const auto decibels = [&](double objective) { return 20 * std::log10(objective / full); };
    MESSAGE("alignment lost against the full transform: " << decibels(none) << " dB in mass-diffused blocks, "
                                                          << decibels(found) << " dB in aligned ones");
    CHECK(decibels(found) < 0.25 * decibels(none));
}

TEST_CASE("aligned blocks stand ragged widths, dead channels, one token and no slack") {
    Rng rng(5);
    const Index n = 172;
    MatrixD x(1, n);
    for (Index i = 0; i < n; ++i) x(0, i) = rng.gaussian();
    x(0, 9) = 0;
    const Matrix w = gaussianMatrix(rng, 3, n);
    const MatrixD sigmaW = transposedTimes(w.cast<double>(), w.cast<double>());
    AlignedBlocksOptions options;
    options.massSlack = 0;
    const std::vector<MatrixD> inputs{transposedTimes(x, x), MatrixD::Ones(n, n), MatrixD::Zero(n, n)};
    for (const MatrixD& sigmaX : inputs) {
        const Matrix affinity = channelAffinity(sigmaX, sigmaW, 1e-2, 2);
        CHECK(affinity.allFinite());
        const Eigen::VectorXd mass = sigmaX.diagonal().cwiseSqrt();
        const ColumnOrder order = alignedBlocks(affinity, mass, 64, options);
        CHECK(isPermutation(order, n));
        CHECK(blockBounds(mass, order, 64).maxCoeff() <=
              blockBounds(mass, massDiffusion(mass, 64), 64).maxCoeff() * (1 + 1e-12));
    }
    CHECK(alignedBlocks(Matrix(0, 0), Eigen::VectorXd(), 16).empty());
    CHECK_THROWS_AS(alignedBlocks(Matrix(2, 2), Eigen::VectorXd::Ones(3), 16), vulcat::Error);
}

}  // namespace
