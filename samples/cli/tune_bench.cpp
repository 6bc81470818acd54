#include "cli/tune_bench.h"

#include "cli/cache_folder.h"
#include "cli/command.h"

#include "base/checked.h"
#include "base/path_text.h"
#include "kernels/float_linear.h"
#include "kernels/integer_linear.h"
#include "kernels/tuner.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::cli {
namespace {

std::string nameOf(const kernels::LinearSize& size) {
    const std::string group = size.shape.groupSize == 0 ? "" : "-g" + std::to_string(size.shape.groupSize);
    const std::string floats = size.input == kernels::LinearInput::Floats ? "a16" : "";
    return "w" + std::to_string(size.shape.bits()) + floats + group + ", " + std::to_string(size.outputs) + "x" + std::to_string(size.shape.inputs);
}

std::string nameOf(const kernels::LinearTile& tile) {
    constexpr std::string_view kIntegers = "integer_linear_";
    std::string name = tile.module.starts_with(kIntegers) ? tile.module.substr(kIntegers.size()) : tile.module;
    name += " x " + std::to_string(tile.rows);
    if (tile.tiles != 0) name += " x " + std::to_string(tile.tiles);
    if (tile.splits != 0) name += " / " + std::to_string(tile.splits);
    return name;
}

double millisecondsOf(const kernels::LinearTile& tile, uint32_t rows) {
    return 1e-6 * tile.cost * static_cast<double>(divideUp(rows, tile.rows));
}

/// The tile as it was measured; with no cost where it computed wrongly.
kernels::LinearTile measured(const kernels::TunedLinear& tuned, kernels::LinearTile tile) {
    tile.cost = 0;
    for (const kernels::LinearTile& other : tuned.measured) {
        if (other.module == tile.module && other.rows == tile.rows && other.tiles == tile.tiles && other.splits == tile.splits) tile.cost = other.cost;
    }
    return tile;
}

/// Untuned and tuned.
template <class Linear>
void addRows(Table& table, const layers::Engine& engine, const kernels::LinearSize& size, const kernels::TunedLinear& tuned) {
    const Linear plain(engine.device, engine.pipelines, engine.allowed, size, layers::kMaxRows);
    const Linear best(engine.device, engine.pipelines, engine.allowed, size, layers::kMaxRows, tuned.best);
    for (const uint32_t rows : {1u, 2u, 4u, 8u, 16u, layers::kMaxRows}) {
        const kernels::LinearTile before = measured(tuned, plain.tile(rows)), after = best.tile(rows);
        const double was = millisecondsOf(before, rows), is = millisecondsOf(after, rows);
        table.add({nameOf(size), std::to_string(rows), nameOf(before), was > 0 ? fixed(was, 3) : "wrong", nameOf(after), fixed(is, 3),
                   was > 0 ? fixed(was / is, 2) : ""});
    }
}

}  // namespace

Table tuneModel(OpenDevice& device, const std::filesystem::path& folder) {
    const std::vector<kernels::LinearSize> sizes = GpuModel(device, folder).model().linears();
    kernels::TunerOptions options;
    options.maxRows = layers::kMaxRows;
    options.goOn = [] { return !interrupted.load(); };
    kernels::Tuning tuning = device.tuning();
    Table table({"linear", "tokens at once", "untuned", "ms", "tuned", "ms", "times as fast"});
    const layers::Engine engine = device.engine();
    ProgressLine line;
    for (size_t i = 0; i < sizes.size(); ++i) {
        line.update("tuning " + nameOf(sizes[i]), i, sizes.size());
        const kernels::TunedLinear tuned = kernels::tuneLinear(engine.device, engine.pipelines, engine.allowed, sizes[i], options);
        for (const std::string& wrong : tuned.wrong) logWarning("kernel " + wrong + " computes wrongly on this device and is passed over");
        tuning.set(sizes[i], tuned.best);
        if (sizes[i].input == kernels::LinearInput::Floats) {
            addRows<kernels::FloatLinear>(table, engine, sizes[i], tuned);
        } else {
            addRows<kernels::IntegerLinear>(table, engine, sizes[i], tuned);
        }
    }
    line.clear();
    const bool kept = device.keepTuning(std::move(tuning));
    const auto where = cacheFolder();
    logLine(kept ? "Kept in " + pathText(*where) + "; every later run of such layers on this device uses it." : "Not kept: no cache folder can be written.");
    return table;
}

}  // namespace vulcat::cli
