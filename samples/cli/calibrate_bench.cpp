#include "cli/calibrate_bench.h"

#include "cli/command.h"

#include "calibrate/gptq.h"
#include "calibrate/parallel.h"
#include "calibrate/statistics.h"
#include "calibrate/transforms.h"
#include "calibrate/watersic.h"

#include "base/error.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <functional>

namespace vulcat::cli {
namespace {

using calibrate::Matrix;
using calibrate::MatrixD;
using calibrate::SecondMoments;
using Eigen::Index;

constexpr Index kCatBlock = 128;

/// Standard normal entries, the same on every machine up to the last bits of the logarithm.
Matrix gaussians(Index rows, Index columns, uint64_t seed) {
    Matrix m(rows, columns);
    uint64_t state = seed;
    const auto uniform = [&] {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return (static_cast<double>(state >> 11) + 0.5) * 0x1p-53;
    };
    for (Index i = 0; i < m.size(); i += 2) {
        const double radius = std::sqrt(-2 * std::log(uniform())), angle = 6.283185307179586 * uniform();
        m.data()[i] = static_cast<float>(radius * std::cos(angle));
        if (i + 1 < m.size()) m.data()[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
    return m;
}

/// What all steps work on: rows with a decaying spectrum, and weights.
struct Workload {
    Matrix x, w;
    SecondMoments moments, blocks, weightBlocks;
    MatrixD hessian;
    std::vector<float> scales;

    Workload(Index n, int threads)
        : x(gaussians(n, n, 1)),
          w(gaussians(n, n, 2)),
          moments(n, 0),
          blocks(n, kCatBlock),
          weightBlocks(n, kCatBlock) {
        for (Index c = 0; c < n; ++c)
            x.col(c) *= static_cast<float>(std::exp(-6.0 * static_cast<double>(c) / static_cast<double>(n)) + 0.03);
        moments.add(x, threads);
        blocks.add(x, threads);
        weightBlocks.add(w, threads);
        hessian = moments.part(0, n);
        for (Index r = 0; r < n; ++r) scales.push_back(w.row(r).cwiseAbs().maxCoeff() / 7);
    }
};

/// Seconds on the clock, and seconds of all cores together that this process got.
struct Cost {
    double wall = 0, cpu = 0;
};

Cost costOf(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t before = std::clock();
    work();
    return {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
            static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC};
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

struct Step {
    std::string name;
    std::function<void()> work;
    /// The figure of a time beside that of the matrix product, with the bar it is held against.
    std::function<std::string(double time, double product)> figure;
    std::string bar;
    std::vector<double> wall = {}, cpu = {};
};

std::vector<Step> stepsOf(const Workload& load, int threads) {
    const Index n = load.w.cols();
    const auto times = [](double time, double product) { return fixed(time / product, 2) + " SGEMM"; };
    const auto syrkShare = [n](double time, double product) {
        const double share = static_cast<double>(n + 1) / (2.0 * static_cast<double>(n)) * product / time;
        return fixed(100 * share, 0) + " % of SGEMM's rate";
    };
    calibrate::GptqOptions gptqOptions;
    gptqOptions.threads = threads;
    calibrate::WaterSicOptions waterOptions;
    waterOptions.threads = threads;
    waterOptions.step = 0.5 * std::sqrt(load.hessian.trace() / static_cast<double>(n));
    calibrate::WaterSicOptions passOptions = waterOptions;
    passOptions.rescale = false;
    return {
        {"SGEMM, one call", [&load] { calibrate::multiplyTransposed(load.x, load.w); }, {}, "-"},
        {"covariance (SYRK, merged in double)", [&load, n, threads] { SecondMoments(n, 0).add(load.x, threads); },
         syrkShare, "at least 50 %"},
        {"CAT, blocks of 128",
         [&load, threads] { calibrate::catTransform(load.blocks, load.weightBlocks, kCatBlock, {}, threads); },
         [](double time, double) { return fixed(time, 2) + " s"; }, "under 2 s"},
        {"GPTQ, 4 bits", [&load, gptqOptions] { calibrate::gptq(load.w, load.hessian, load.scales, 0, gptqOptions); },
         times, "at most 4"},
        {"WaterSIC, fixed step, one pass",
         [&load, passOptions] { calibrate::waterSic(load.w, load.hessian, format::ColumnModels{}, passOptions); },
         times, "at most 6"},
        {"the same, then scales refined",
         [&load, waterOptions] { calibrate::waterSic(load.w, load.hessian, format::ColumnModels{}, waterOptions); },
         times, "-"}};
}

}  // namespace

Table calibrateBench(int size, uint32_t repetitions, int threads) {
    const int used = calibrate::threadCount(threads);
    const Workload load(size, used);
    std::vector<Step> steps = stepsOf(load, used);
    for (uint32_t round = 0; round < std::max(repetitions, 1u); ++round)
        for (Step& step : steps) {
            stopIfInterrupted();
            const Cost cost = costOf(step.work);
            step.wall.push_back(cost.wall);
            step.cpu.push_back(cost.cpu);
        }
    Table table({"width " + std::to_string(size) + ", " + std::to_string(used) + " threads", "median s", "that is",
                 "by CPU time", "bar"});
    const double wall = median(steps.front().wall), cpu = median(steps.front().cpu);
    for (const Step& step : steps)
        table.add({step.name, fixed(median(step.wall), 2), step.figure ? step.figure(median(step.wall), wall) : "1",
                   step.figure ? step.figure(median(step.cpu), cpu) : "1", step.bar});
    return table;
}

}  // namespace vulcat::cli
