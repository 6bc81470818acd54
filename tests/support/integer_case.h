#pragma once
// One integer linear layer with everything that decides its result, run on the GPU and by the reference.

#include "kernels/integer_linear.h"

#include "format/linear_reference.h"

#include "support/gpu_fixture.h"
#include "support/rng.h"

#include <string>
#include <vector>

namespace vulcat::test {

enum class ZeroPoints { None, Random };

struct IntegerCase {
    uint32_t rows = 1;     ///< M
    uint32_t outputs = 1;  ///< N
    uint32_t inputs = 1;   ///< K
    int weightBits = 4;
    uint32_t groupSize = 0;
    int activationBits = 8;
    ZeroPoints zeros = ZeroPoints::None;
    bool bias = false;
    bool residual = false;
    bool wildScales = false;  ///< arbitrary scales instead of powers of two

    std::string describe() const;
};

/// Codes over the whole range, in container form; fields may be changed before running.
struct IntegerData {
    format::QuantisedMatrix weights;
    format::QuantisedRows x;
    std::vector<float> bias;      ///< [N] or empty
    std::vector<float> residual;  ///< [M, N] or empty
};
IntegerData randomData(const IntegerCase& shape, Rng& rng);

/// The code sums after a change of codes.
void refreshSums(IntegerData& data);

/// The capability sets that lead to the different variants this device can run, BASE first.
std::vector<vk::CapabilitySet> integerVariants(const GpuFixture& gpu);

/// Prints which variants that leaves out.
void saySkippedVariants(const GpuFixture& gpu);

/// y on the GPU; the weights are stacked from `parts` equal pieces where N allows; `splits` and `tuned` as in
/// kernels::IntegerLinear.
std::vector<float> runOnGpu(GpuFixture& gpu, const vk::CapabilitySet& allowed, const IntegerData& data,
                            uint32_t parts = 1, uint32_t splits = 0, std::span<const kernels::LinearTile> tuned = {});

kernels::LinearSize sizeOf(const IntegerData& data);

/// Counts outputs that are not equal to the reference, and describes the first.
size_t countWrong(const std::vector<float>& y, const std::vector<float>& expected, std::string& first);

}  // namespace vulcat::test
