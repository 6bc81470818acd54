// Links the floor format alone and calls something of most of its files: a dependency on another floor does not link.

#include "format/linear_reference.h"
#include "format/names.h"
#include "format/transform.h"

#include <cstdio>
#include <vector>

int main() {
    using namespace vulcat::format;
    std::vector<float> x = {1, -2, 3, -4};
    const Transform transform = hadamardTransform(4);
    applyTransform(transform, std::span<float>(x));
    const QuantisedRows rows = quantiseRows(x, 1, 4, ActivationFormat::A8);
    const QuantisedMatrix weights = quantiseWeights(std::vector<float>{1, 0, 0, 0}, 1, 4, 8, 0, ScaleSearch::AbsMax);
    const float y = integerLinear(weights, rows).front();
    std::printf("%s %g\n", siteName(0, SiteKind::Qkv).c_str(), static_cast<double>(y));
    return y > -1.02f && y < -0.98f ? 0 : 1;
}
