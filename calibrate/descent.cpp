#include "calibrate/descent.h"

#include "calibrate/parallel.h"

#include "format/packing.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

constexpr Index kDescentRows = 64;  // that share one product with the Hessian

/// One row: codes q with steps s, and gradient = (w - q s) (H + damping I), kept true while codes change.
class DescendingRow {
  public:
    DescendingRow(const MatrixD& hessian, double damping, std::span<int8_t> codes, std::span<const float> steps,
                  Index groupWidth, double* gradient, double lowest, double highest)
        : hessian_(hessian),
          damping_(damping),
          codes_(codes),
          steps_(steps),
          groupWidth_(groupWidth),
          gradient_(gradient, hessian.cols()),
          lowest_(lowest),
          highest_(highest) {}

    /// One turn over the columns; true when a code changed.
    bool sweep() {
        bool changed = false;
        for (Index k = 0; k < hessian_.cols(); ++k) {
            const double step = static_cast<double>(steps_[static_cast<size_t>(k / groupWidth_)]),
                         own = hessian_(k, k) + damping_;
            if (!(step > 0) || !(own > 0)) continue;
            int8_t& code = codes_[static_cast<size_t>(k)];
            const double wanted = static_cast<double>(code) + gradient_[k] / (own * step);
            const double next = std::clamp(std::nearbyint(wanted), lowest_, highest_);
            const double change = next - static_cast<double>(code);
            // Half a step is a tie: rounding errors of the gradient must not swing a code to and fro.
            if (std::fabs(change) < 0.5 || std::fabs(wanted - next) > std::fabs(wanted - code) - 1e-6) continue;
            code = static_cast<int8_t>(next);
            gradient_ -= change * step * hessian_.row(k);
            gradient_[k] -= change * step * damping_;
            changed = true;
        }
        return changed;
    }

  private:
    const MatrixD& hessian_;
    double damping_;
    std::span<int8_t> codes_;
    std::span<const float> steps_;
    Index groupWidth_;
    Eigen::Map<Eigen::RowVectorXd> gradient_;
    double lowest_, highest_;
};

}  // namespace

void improveCodes(const Matrix& w, const MatrixD& hessian, double damping, format::QuantisedMatrix& matrix, int sweeps,
                  int threads) {
    const Index columns = w.cols(), groups = static_cast<Index>(matrix.groups());
    const Index width = matrix.groupSize == 0 ? columns : static_cast<Index>(matrix.groupSize);
    const double lowest = matrix.bits == 4 ? -8 : -127, highest = matrix.bits == 4 ? 7 : 127;
    const SerialBlas serial;
    parallelFor(static_cast<size_t>((w.rows() + kDescentRows - 1) / kDescentRows), threads, [&](size_t piece) {
        const Index first = static_cast<Index>(piece) * kDescentRows, count = std::min(kDescentRows, w.rows() - first);
        MatrixD errors(count, columns);
        for (Index r = 0; r < count; ++r)
            for (Index k = 0; k < columns; ++k) {
                const double step =
                    static_cast<double>(matrix.scales[static_cast<size_t>((first + r) * groups + k / width)]);
                errors(r, k) = static_cast<double>(w(first + r, k)) -
                               step * static_cast<double>(matrix.codes[static_cast<size_t>((first + r) * columns + k)]);
            }
        MatrixD gradients = product(errors, hessian, 1);
        gradients += damping * errors;
        for (Index r = 0; r < count; ++r) {
            const auto row = static_cast<size_t>(first + r);
            DescendingRow descending(
                hessian, damping, std::span(matrix.codes).subspan(row * matrix.columns, matrix.columns),
                std::span<const float>(matrix.scales).subspan(row * matrix.groups(), matrix.groups()), width,
                gradients.row(r).data(), lowest, highest);
            for (int turn = 0; turn < sweeps && descending.sweep(); ++turn) {
            }
            format::sumCodes(std::span<const int8_t>(matrix.codes).subspan(row * matrix.columns, matrix.columns),
                             matrix.groupSize,
                             std::span(matrix.codeSums).subspan(row * matrix.groups(), matrix.groups()));
        }
    });
}

}  // namespace vulcat::calibrate
