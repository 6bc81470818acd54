#pragma once
// A site rounded by WaterSIC: entropy-coded integers for all its linears, one scale a row, and one scale a column that
// all linears share. Column scales go to the activations, x' = diag(s) x, as a transform with blocks of width 1; so the
// runtime multiplies plain 8-bit codes and needs nothing new.

#include "calibrate/site_rounding.h"

#include "format/transform.h"

#include <optional>

namespace vulcat::calibrate {

/// Widest site whose eigenvalues are worth their time to the report.
inline constexpr Eigen::Index kLimitWidth = 2048;

struct CodedSite {
    format::Transform columns;                   ///< blocks of width 1
    std::vector<format::QuantisedMatrix> codes;  ///< of each linear
    double bitsPerWeight = 0;                    ///< on disk: codes, models, scales of rows and columns
    double step = 0;
    std::optional<double> limitBits;  ///< what no coder can go below for this output error; only up to kLimitWidth
};

/// `rate`: bits a weight, all side information included. `moments` of the raw inputs. Degenerate input never fails:
/// what was done about it is added to `notes`.
CodedSite codeSite(const std::vector<Linear>& linears, const InputMoments& moments, double rate, int threads,
                   std::vector<std::string>& notes);

/// Bits that are left for each weight not yet coded, so that the whole model comes out at `rate`.
double remainingRate(double rate, double allWeights, double doneWeights, double doneBits);

}  // namespace vulcat::calibrate
