#include "cli/tune_bench.h"

#include "cli/cache_folder.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include "base/path_text.h"
#include "kernels/float_linear.h"
#include "kernels/integer_linear.h"
#include "kernels/tuner.h"

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
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
    if (tile.form != 0) name += " form " + std::to_string(tile.form);
    return name;
}

double millisecondsOf(const kernels::LinearTile& tile, uint32_t rows) {
    return 1e-6 * tile.costOf(rows);
}

bool same(const kernels::LinearTile& a, const kernels::LinearTile& b) {
    return a.module == b.module && a.rows == b.rows && a.tiles == b.tiles && a.splits == b.splits && a.form == b.form;
}

/// The tile as it was measured; with no cost where it computed wrongly.
kernels::LinearTile measured(const kernels::TunedLinear& tuned, kernels::LinearTile tile) {
    tile.cost = 0;
    for (const kernels::LinearTile& other : tuned.measured) {
        if (same(other, tile)) return other;
    }
    return tile;
}

constexpr uint32_t kShownRows[] = {1u, 2u, 4u, 8u, 16u, layers::kMaxRows};

/// What the built-in choice and the tuned one take for some numbers of rows, and each tile that was measured.
struct Tables {
    std::function<void(std::vector<std::string>)> addChoice, addTile;

    template <class Linear>
    void add(const layers::Engine& engine, const kernels::LinearSize& size, const kernels::TunedLinear& tuned) const {
        const Linear plain(engine.device, engine.pipelines, engine.allowed, size, layers::kMaxRows);
        const Linear best(engine.device, engine.pipelines, engine.allowed, size, layers::kMaxRows, tuned.best);
        std::vector<kernels::LinearTile> builtIn;
        for (const uint32_t rows : kShownRows) {
            const kernels::LinearTile before = measured(tuned, plain.tile(rows)), after = best.tile(rows);
            const double was = millisecondsOf(before, rows), is = millisecondsOf(after, rows);
            addChoice({nameOf(size), std::to_string(rows), nameOf(before), was > 0 ? fixed(was, 3) : "wrong", nameOf(after), fixed(is, 3),
                       was > 0 ? fixed(was / is, 2) : ""});
            builtIn.push_back(before);
        }
        addTiles(size, tuned, builtIn);
    }

    /// By height, of each the fastest first.
    void addTiles(const kernels::LinearSize& size, const kernels::TunedLinear& tuned, const std::vector<kernels::LinearTile>& builtIn) const {
        const auto in = [](const std::vector<kernels::LinearTile>& tiles, const kernels::LinearTile& tile) {
            return std::any_of(tiles.begin(), tiles.end(), [&](const kernels::LinearTile& other) { return same(other, tile); });
        };
        std::vector<kernels::LinearTile> tiles = tuned.measured;
        std::sort(tiles.begin(), tiles.end(), [](const auto& a, const auto& b) { return std::pair(a.rows, a.cost) < std::pair(b.rows, b.cost); });
        for (const kernels::LinearTile& tile : tiles) {
            const std::string kept = in(tuned.best, tile) ? "kept" : "", known = in(builtIn, tile) ? "built in" : "";
            addTile({nameOf(size), nameOf(tile), std::to_string(tile.rows), fixed(millisecondsOf(tile, tile.rows), 4), fixed(1e-3 * tile.cost / tile.rows, 2),
                     kept + (kept.empty() || known.empty() ? "" : ", ") + known});
        }
    }
};

void keep(OpenDevice& device, kernels::Tuning tuning) {
    const bool kept = device.keepTuning(std::move(tuning));
    const auto where = cacheFolder();
    logLine(kept ? "Kept in " + pathText(*where) + "; every later run of such layers on this device uses it." : "Not kept: no cache folder can be written.");
}

/// Tunes each and hands it to `done`. Interrupted, it keeps what it knows.
void tuneEach(OpenDevice& device, const std::vector<kernels::LinearSize>& sizes,
              const std::function<void(const kernels::LinearSize&, const kernels::TunedLinear&)>& done) {
    kernels::TunerOptions options;
    options.maxRows = layers::kMaxRows;
    options.goOn = [] { return !interrupted.load(); };
    const layers::Engine engine = device.engine();
    kernels::Tuning tuning = device.tuning();
    ProgressLine line;
    size_t i = 0;
    try {
        for (; i < sizes.size(); ++i) {
            line.update("tuning " + nameOf(sizes[i]), i, sizes.size());
            const kernels::TunedLinear tuned = kernels::tuneLinear(engine.device, engine.pipelines, engine.allowed, sizes[i], options);
            line.clear();
            for (const std::string& wrong : tuned.wrong) logWarning("kernel " + wrong + " computes wrongly on this device and is passed over");
            tuning.set(sizes[i], tuned.best);
            done(sizes[i], tuned);
        }
    } catch (const Error& error) {
        line.clear();
        if (error.code() == Result::Cancelled && i > 0) keep(device, std::move(tuning));
        throw;
    }
    keep(device, std::move(tuning));
}

}  // namespace

void tuneModel(OpenDevice& device, const std::filesystem::path& folder, bool everyTile, const std::string& format) {
    const std::vector<kernels::LinearSize> sizes = GpuModel(device, folder).model().linears();
    size_t name = 0;
    for (const kernels::LinearSize& size : sizes) name = std::max(name, nameOf(size).size());
    constexpr size_t kTile = 34;
    std::vector<std::string> choiceHead{"linear", "tokens at once", "untuned", "untuned ms", "tuned", "tuned ms", "times as fast"};
    std::vector<std::string> tileHead{"linear", "tile", "its rows", "ms alone", "us a row of many", "which is"};
    Table choices(choiceHead);
    LiveTable live(everyTile ? tileHead : choiceHead, format,
                   everyTile ? std::vector<size_t>{name, kTile, 8, 10, 16, 14} : std::vector<size_t>{name, 14, kTile, 10, kTile, 8});
    Tables tables;
    tables.addChoice = [&](std::vector<std::string> row) { everyTile ? choices.add(std::move(row)) : live.add(std::move(row)); };
    tables.addTile = [&](std::vector<std::string> row) { everyTile ? live.add(std::move(row)) : void(); };
    const layers::Engine engine = device.engine();
    tuneEach(device, sizes, [&](const kernels::LinearSize& size, const kernels::TunedLinear& tuned) {
        if (size.input == kernels::LinearInput::Floats) {
            tables.add<kernels::FloatLinear>(engine, size, tuned);
        } else {
            tables.add<kernels::IntegerLinear>(engine, size, tuned);
        }
    });
    live.finish();
    if (everyTile) printBeside(choices, "Before and after:", format);
}

}  // namespace vulcat::cli
