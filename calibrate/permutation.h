#pragma once
// Permutations of channels before a block transform. An order is a list: order[newPlace] = old channel, so x'[i] =
// x[order[i]], and blocks are runs of `block` places (the last may be shorter).
//
// A block Hadamard can spread an outlier over its own block only: |x R|_inf <= max over blocks of |x_j|_1 / sqrt(b)
// (arXiv 2601.22347, Prop. 3.3). Mass diffusion evens out the blocks' l1 masses. A block-diagonal alignment transform
// can only use correlations inside its blocks; aligned blocks bring channels together that the full transform would
// mix, while no block grows heavier than mass diffusion has to allow.

#include "calibrate/cancellation.h"

namespace vulcat::calibrate {

/// Greedy mass diffusion: channels by descending mass, each to the block that is lightest for its size and has room.
/// `mass` is the mean of |x_c| over tokens. Errors: InvalidArgument for block < 1 or masses that are negative or NaN.
ColumnOrder massDiffusion(const Eigen::VectorXd& mass, Eigen::Index block);

/// The l1 mass of each block, divided by sqrt(its size): the bound above, for mean masses or for one token's |x|.
Eigen::VectorXd blockBounds(const Eigen::VectorXd& mass, const ColumnOrder& order, Eigen::Index block);

/// How strongly a full alignment transform mixes each pair of channels: P_ij^2 / (P_ii P_jj) of P = Sigma_w #
/// Sigma_x^-1, zeros on the diagonal. Scales of channels do not matter to it. Both matrices are damped by `damping`
/// relative to the mean of their diagonals, so rank deficiency and dead channels are fine. Costs about 30 Cholesky
/// factors.
Matrix channelAffinity(const MatrixD& sigmaX, const MatrixD& sigmaW, double damping, int threads);

/// The damping of both moments that suits calibration: what few tokens show of thousands of channels is noise.
inline constexpr double kAffinityDamping = 1e-2;

struct AlignedBlocksOptions {
    double massSlack = 0.1;  ///< a block's bound may exceed the largest of mass diffusion by this share
    int passes = 20;         ///< over all channels at most; ends sooner when no exchange helps
};

/// Blocks with much affinity inside and balanced mass: from the mass-diffused order and from a greedy one, pairs of
/// channels are exchanged while that raises the sum of affinities inside blocks and keeps both blocks within the bound;
/// the better of the two is returned. `affinity` is symmetric [K, K]. Deterministic. O(K^2) a pass.
ColumnOrder alignedBlocks(const Matrix& affinity, const Eigen::VectorXd& mass, Eigen::Index block,
                          const AlignedBlocksOptions& options = {});

/// Sum of affinities over pairs inside blocks: what alignedBlocks raises.
double affinityInside(const Matrix& affinity, const ColumnOrder& order, Eigen::Index block);

}  // namespace vulcat::calibrate
