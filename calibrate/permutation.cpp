#include "calibrate/permutation.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

Index blockCount(Index channels, Index block) {
    return (channels + block - 1) / block;
}

void checkMass(const Eigen::VectorXd& mass, Index block) {
    if (block < 1) throw Error(Result::InvalidArgument, "blocks of a permutation need at least one channel");
    if (mass.size() > 0 && !(mass.allFinite() && mass.minCoeff() >= 0))
        throw Error(Result::InvalidArgument, "channel masses must be finite and not negative");
}

/// Channels distributed over blocks, some perhaps not placed yet.
struct Assignment {
    Assignment(Index channels, Index size)
        : block(size),
          members(static_cast<size_t>(blockCount(channels, size))),
          load(Eigen::VectorXd::Zero(blockCount(channels, size))) {
        capacity.assign(members.size(), size);
        if (!members.empty()) capacity.back() = channels - size * static_cast<Index>(members.size() - 1);
    }
    bool full(Index j) const { return static_cast<Index>(members[at(j)].size()) == capacity[at(j)]; }
    double root(Index j) const { return std::sqrt(static_cast<double>(capacity[at(j)])); }
    void place(Index channel, Index j, double mass) {
        members[at(j)].push_back(channel);
        load[j] += mass;
    }
    ColumnOrder order() const {
        ColumnOrder all;
        for (const auto& channels : members) all.insert(all.end(), channels.begin(), channels.end());
        return all;
    }
    static size_t at(Index i) { return static_cast<size_t>(i); }

    Index block;
    std::vector<std::vector<Index>> members;
    std::vector<Index> capacity;
    Eigen::VectorXd load;  ///< sum of masses
};

Assignment diffuse(const Eigen::VectorXd& mass, Index block) {
    Assignment blocks(mass.size(), block);
    // Lightest first; of equals the one with the lower number.
    using Entry = std::pair<double, Index>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> lightest;
    for (Index j = 0; j < blocks.load.size(); ++j) lightest.emplace(0.0, j);
    for (const Index channel : descendingOrder(mass)) {
        const Index j = lightest.top().second;
        lightest.pop();
        blocks.place(channel, j, mass[channel]);
        if (!blocks.full(j)) lightest.emplace(blocks.load[j] / blocks.root(j), j);
    }
    return blocks;
}

/// Exchanges channels between blocks. inside_(c, j) is the affinity of channel c to all of block j.
class Exchange {
  public:
    Exchange(const Matrix& affinity, const Eigen::VectorXd& mass, double bound, Assignment start)
        : affinity_(affinity),
          mass_(mass),
          bound_(bound),
          blocks_(std::move(start)),
          inside_(Matrix::Zero(mass.size(), blocks_.load.size())),
          home_(static_cast<size_t>(mass.size())),
          place_(static_cast<size_t>(mass.size())) {
        for (size_t j = 0; j < blocks_.members.size(); ++j)
            for (size_t place = 0; place < blocks_.members[j].size(); ++place) {
                const Index channel = blocks_.members[j][place];
                home_[Assignment::at(channel)] = static_cast<Index>(j);
                place_[Assignment::at(channel)] = place;
                inside_.col(static_cast<Index>(j)) += affinity_.col(channel);
            }
    }

    bool feasible() const {
        for (Index j = 0; j < blocks_.load.size(); ++j)
            if (blocks_.load[j] > bound_ * blocks_.root(j)) return false;
        return true;
    }

    Assignment run(int passes) {
        for (int pass = 0; pass < passes; ++pass) {
            bool changed = false;
            for (Index channel = 0; channel < mass_.size(); ++channel) changed |= improve(channel);
            if (!changed) break;
        }
        return std::move(blocks_);
    }

  private:
    /// Exchanges the channel with the partner that gains most, if any does.
    bool improve(Index channel) {
        const Index home = home_[Assignment::at(channel)];
        const float leaves = inside_(channel, home);
        // Sums of floats drift as exchanges add up; gains below this are noise and could go in circles.
        float best = 1e-5f;
        Index partner = -1;
        for (Index other = 0; other < mass_.size(); ++other) {
            const Index there = home_[Assignment::at(other)];
            if (there == home) continue;
            const float gain = inside_(channel, there) - leaves + inside_(other, home) - inside_(other, there) -
                               2 * affinity_(channel, other);
            if (gain > best && allowed(channel, home, other, there)) {
                best = gain;
                partner = other;
            }
        }
        if (partner < 0) return false;
        swap(channel, partner);
        return true;
    }

    /// Both blocks stay within the bound; one that is beyond it may still grow lighter.
    bool allowed(Index channel, Index home, Index other, Index there) const {
        const double shift = mass_[other] - mass_[channel];
        const Index heavier = shift > 0 ? home : there;
        return blocks_.load[heavier] + std::fabs(shift) <= bound_ * blocks_.root(heavier) || shift == 0;
    }

    void swap(Index a, Index b) {
        const Index homeA = home_[Assignment::at(a)];
        const Index homeB = home_[Assignment::at(b)];
        blocks_.load[homeA] += mass_[b] - mass_[a];
        blocks_.load[homeB] += mass_[a] - mass_[b];
        std::swap(blocks_.members[Assignment::at(homeA)][place_[Assignment::at(a)]],
                  blocks_.members[Assignment::at(homeB)][place_[Assignment::at(b)]]);
        std::swap(home_[Assignment::at(a)], home_[Assignment::at(b)]);
        std::swap(place_[Assignment::at(a)], place_[Assignment::at(b)]);
        // Symmetry lets rows stand for columns.
        for (Index c = 0; c < mass_.size(); ++c) {
            const float difference = affinity_(b, c) - affinity_(a, c);
            inside_(c, homeA) += difference;
            inside_(c, homeB) -= difference;
        }
    }

    const Matrix& affinity_;
    const Eigen::VectorXd& mass_;
    double bound_;  ///< of load / sqrt(size)
    Assignment blocks_;
    Matrix inside_;  ///< [K, blocks]
    std::vector<Index> home_;
    std::vector<size_t> place_;
};

/// Grows block after block: the heaviest free channel, then ever the free channel nearest to the block, skipping those
/// whose mass would leave no average room for the rest.
Assignment grow(const Matrix& affinity, const Eigen::VectorXd& mass, Index block, double bound) {
    Assignment blocks(mass.size(), block);
    const ColumnOrder byMass = descendingOrder(mass);
    std::vector<bool> taken(static_cast<size_t>(mass.size()));
    for (Index j = 0; j < blocks.load.size(); ++j) {
        Eigen::RowVectorXf pull = Eigen::RowVectorXf::Zero(mass.size());
        const double room = bound * blocks.root(j);
        while (!blocks.full(j)) {
            Index next = -1;
            Index lightest = -1;
            for (const Index channel : byMass) {
                if (taken[Assignment::at(channel)]) continue;
                lightest = channel;
                if (blocks.load[j] + mass[channel] > room) continue;
                if (next < 0 || pull[channel] > pull[next]) next = channel;
                if (blocks.members[Assignment::at(j)].empty()) break;
            }
            if (next < 0) next = lightest;
            taken[Assignment::at(next)] = true;
            blocks.place(next, j, mass[next]);
            pull += affinity.row(next);
        }
    }
    return blocks;
}

}  // namespace

ColumnOrder massDiffusion(const Eigen::VectorXd& mass, Index block) {
    checkMass(mass, block);
    return diffuse(mass, block).order();
}

Eigen::VectorXd blockBounds(const Eigen::VectorXd& mass, const ColumnOrder& order, Index block) {
    const Index n = static_cast<Index>(order.size());
    Eigen::VectorXd bounds = Eigen::VectorXd::Zero(blockCount(n, block));
    for (Index i = 0; i < n; ++i) bounds[i / block] += mass[order[static_cast<size_t>(i)]];
    for (Index j = 0; j < bounds.size(); ++j)
        bounds[j] /= std::sqrt(static_cast<double>(std::min(block, n - j * block)));
    return bounds;
}

Matrix channelAffinity(const MatrixD& sigmaX, const MatrixD& sigmaW, double damping, int threads) {
    MatrixD factor = sigmaX;
    dampedCholesky(factor, damping, threads);
    const MatrixD mean = geometricMean(sigmaW, inverseFromFactor(factor, threads), damping, threads);
    const Eigen::ArrayXd scale = mean.diagonal().array().rsqrt();
    Matrix affinity(mean.rows(), mean.cols());
    for (Index i = 0; i < mean.rows(); ++i) {
        for (Index j = 0; j < mean.cols(); ++j) {
            const double cosine = mean(i, j) * scale[i] * scale[j];
            affinity(i, j) = static_cast<float>(cosine * cosine);
        }
        affinity(i, i) = 0;
    }
    return affinity;
}

double affinityInside(const Matrix& affinity, const ColumnOrder& order, Index block) {
    const Index n = static_cast<Index>(order.size());
    double sum = 0;
    for (Index i = 0; i < n; ++i)
        for (Index j = i + 1; j < std::min(n, (i / block + 1) * block); ++j)
            sum += static_cast<double>(affinity(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]));
    return sum;
}

ColumnOrder alignedBlocks(const Matrix& affinity, const Eigen::VectorXd& mass, Index block,
                          const AlignedBlocksOptions& options) {
    checkMass(mass, block);
    if (affinity.rows() != mass.size() || affinity.cols() != mass.size())
        throw Error(Result::InvalidArgument, "aligned blocks need one mass a channel of the affinity");
    if (mass.size() == 0) return {};
    Assignment diffused = diffuse(mass, block);
    const double heaviest = blockBounds(mass, diffused.order(), block).maxCoeff();
    const double bound = heaviest * (1 + std::max(options.massSlack, 0.0));
    const ColumnOrder fromDiffused = Exchange(affinity, mass, bound, std::move(diffused)).run(options.passes).order();
    Exchange grown(affinity, mass, bound, grow(affinity, mass, block, bound));
    if (!grown.feasible()) return fromDiffused;
    const ColumnOrder fromGrown = grown.run(options.passes).order();
    return affinityInside(affinity, fromGrown, block) > affinityInside(affinity, fromDiffused, block) ? fromGrown
                                                                                                      : fromDiffused;
}

}  // namespace vulcat::calibrate
