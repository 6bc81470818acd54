// GPTQ and WaterSIC on widths without a Hadamard matrix and far more inputs than tokens: 1216 = 64 * 19 always,
// 9728 = 512 * 19 with VULCAT_TEST_LONG in the environment (some 4 GiB and minutes of both cores).
#include "calibrate/gptq.h"
#include "calibrate/watersic.h"

#include "round_support.h"

#include "format/quantise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

namespace {

using namespace vulcat::calibrate;
using namespace vulcat::test;
namespace format = vulcat::format;

struct WideLayer {
    Matrix weights;
    Matrix inputs;  // [tokens, K]
    MatrixD hessian;

    WideLayer(Rng& rng, Index width) : weights(gaussianMatrix(rng, 24, width)), inputs(gaussianMatrix(rng, 48, width)) {
        weights.row(3).setZero();
        inputs.col(5).setZero();
        for (Index i = 0; i < width; ++i) inputs.col(i) *= static_cast<float>(std::exp(rng.gaussian()));
        hessian = MatrixD(width, width);
        const MatrixD x = inputs.cast<double>();
        hessian.noalias() = x.transpose() * x / static_cast<double>(inputs.rows());
    }
    /// Of the layer's outputs, summed over tokens and rows.
    double error(const Matrix& approximation) const {
        return (inputs.cast<double>() * (weights - approximation).cast<double>().transpose()).squaredNorm();
    }
};

}  // namespace

TEST_CASE("wide layers: GPTQ and WaterSIC of a covariance of low rank beat nearest rounding and name their damping") {
    Rng rng(11);
    std::vector<Index> widths{1216};
    if (std::getenv("VULCAT_TEST_LONG") != nullptr) widths.push_back(9728);
    for (const Index width : widths) {
        CAPTURE(width);
        const WideLayer layer(rng, width);
        format::QuantisedMatrix nearest = format::quantiseWeights(
            {layer.weights.data(), static_cast<size_t>(layer.weights.size())}, static_cast<uint64_t>(layer.weights.rows()),
            static_cast<uint64_t>(width), 4, 0, format::ScaleSearch::Mse);
        const auto approximation = [&](const format::QuantisedMatrix& matrix) {
            const std::vector<float> values = matrix.dequantised();
            return Matrix(Eigen::Map<const Matrix>(values.data(), layer.weights.rows(), width));
        };
        const double before = layer.error(approximation(nearest));
        const GptqResult rounded = gptq(layer.weights, layer.hessian, nearest);
        CHECK(rounded.damping.added > 0);
        CHECK(rounded.deadColumns == std::vector<Index>{5});
        CHECK(layer.error(approximation(nearest)) < 0.2 * before);

        WaterSicOptions options;
        options.rate = 4;
        const WaterSicResult coded = waterSic(layer.weights, layer.hessian, columnModels(), options);
        CHECK(coded.dequantised().allFinite());
        CHECK(coded.dequantised().row(3).cwiseAbs().maxCoeff() == 0);
        CHECK(coded.damping.added > 0);
        CHECK(coded.rate() < 4.01);
        CHECK(layer.error(coded.dequantised()) < 0.01 * before);
    }
}
