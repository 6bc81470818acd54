#pragma once
// A site: linears that share one input, with the transform and the activation quantiser in front of them.

#include "calibrate/matrix.h"

#include "format/model_config.h"
#include "format/quantise.h"
#include "format/transform.h"

#include <optional>
#include <span>
#include <vector>

namespace vulcat::calibrate {

/// One linear of a site, as floats or as codes.
struct Linear {
    Matrix weight;  ///< [N, K]; empty when there are codes
    std::optional<format::QuantisedMatrix> codes;
    std::vector<float> bias;  ///< [N] or empty
    Eigen::Index outputs() const;
    Eigen::Index inputs() const;
};

struct Site {
    format::SiteRecipe recipe;  ///< the float recipe for float linears
    std::optional<format::Transform> transform;
    std::vector<Linear> linears;
};

/// x' = T x of each row, products in float.
Matrix applyTransform(const format::Transform& transform, const Matrix& x);

/// y = W x' + b of each linear of the site on rows x [M, K]: transform, quantiser, integer or float products, epilogue,
/// all as the numeric contract states them. Integer sums are exact (see integerProduct).
std::vector<Matrix> apply(const Site& site, const Matrix& x);

/// The integer linear of the contract on quantised rows. Sums run through SGEMM in pieces of K that are short enough
/// for every partial sum to be an integer below 2^24, which float holds exactly in whatever order; so the result equals
/// format::integerLinear bit for bit, at the speed of the BLAS.
Matrix integerProduct(const format::QuantisedMatrix& weights, const format::QuantisedRows& x,
                      std::span<const float> bias);

}  // namespace vulcat::calibrate
