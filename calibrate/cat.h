#pragma once
// The alignment transform of CAT (arXiv 2603.04359) for one block, in double.

#include "calibrate/matrix.h"

#include <string>
#include <vector>

namespace vulcat::calibrate {

/// A^p of a symmetric matrix with no negative eigenvalue; eigenvalues below `floor` are raised to it.
MatrixD symmetricPower(const MatrixD& a, double power, double floor);

/// A # B = A^1/2 (A^-1/2 B A^-1/2)^1/2 A^1/2 of positive definite matrices.
MatrixD geometricMean(const MatrixD& a, const MatrixD& b);

/// The sum of the square roots of the eigenvalues of Sx^1/2 Sw Sx^1/2, in other words of the singular values of
/// W Sx^1/2. Its square is the least value of tr(P Sx) tr(P^-1 Sw) over all P; so the largest alignment that a
/// transform reaches is tr(Sw Sx) / (the sum over the transform's blocks)^2.
double alignmentRoots(const MatrixD& sx, const MatrixD& sw);

/// How strongly the diagonals are raised, as a share of a block's mean diagonal: enough to carry directions that few
/// tokens or few weight rows show, at a cost below 0.1 dB where there are plenty.
struct AlignmentDamping {
    double x = 1e-2;
    double w = 1e-3;
};

/// M = (Sw # Sx^-1)^1/2, damped: the symmetric transform of the activations (weights get M^-1) that minimises
/// tr(M Sx M^T) tr(M^-T Sw M^-1) and so maximises alignment. Blocks keep their relative scales, which the optimum over
/// all blocks needs. `meanX` and `meanW` are the mean diagonals of the whole site; they give a dead block (all zero)
/// its damping. Never fails on finite input: what it had to do about degenerate input is added to `notes`.
MatrixD alignmentTransform(const MatrixD& sx, const MatrixD& sw, double meanX, double meanW,
                           const AlignmentDamping& damping, std::vector<std::string>& notes);

}  // namespace vulcat::calibrate
