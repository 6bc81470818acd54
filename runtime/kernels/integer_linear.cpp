#include "kernels/integer_linear.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "shaders/interface/integer_linear.h"
#include "shaders/table.h"

#include "base/checked.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr Variant kVariantsW4[] = {
    {"integer_linear_w4", {}, 0},
    {"integer_linear_w4_subgroup", {vk::Capability::Subgroup}, 1},
    {"integer_linear_w4_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    {"integer_linear_w4_dot", {vk::Capability::Subgroup, vk::Capability::Dot}, 3},
    {"integer_linear_w4_quads", {vk::Capability::Subgroup, vk::Capability::Quads}, 4},
};
constexpr Variant kVariantsW8[] = {
    {"integer_linear_w8", {}, 0},
    {"integer_linear_w8_subgroup", {vk::Capability::Subgroup}, 1},
    {"integer_linear_w8_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    {"integer_linear_w8_dot", {vk::Capability::Subgroup, vk::Capability::Dot}, 3},
};

constexpr Variant kVariantsWords[] = {
    {"integer_linear_w4_address", {vk::Capability::Subgroup, vk::Capability::Address}, 0},
};

constexpr uint32_t kBlockInputs = 32;
constexpr uint32_t kMostInputs = 132000;  // above, a sum may leave 32 bits
constexpr uint32_t kTilesOfGroup = 4;     // weight tiles of a workgroup, see shaders/int.cmake

uint32_t blocksOf(const LinearShape& shape) {
    return shape.paddedInputs() / kBlockInputs;
}
uint32_t groupBlocksOf(const LinearShape& shape) {
    return shape.groupSize == 0 ? blocksOf(shape) : std::min(shape.groupSize / kBlockInputs, blocksOf(shape));
}

// A height of tiles in rows of x, and what one costs beside a tile of a single row: taller ones unpack weights once for
// all rows.
struct TileHeight {
    uint32_t rows = 1;
    double cost = 1;
};

// Measured on llvmpipe, for ADDRESS on that of Mesa 26, and for QUADS on SwiftShader. BASE and SUBGROUP have no registers
// for tiles of 8.
std::span<const TileHeight> tileHeights(const Variant& variant) {
    static constexpr TileHeight kUsual[] = {{1, 0.96}, {4, 1.68}, {8, 2.64}};
    static constexpr TileHeight kQuads[] = {{1, 1}, {8, 6}};
    static constexpr TileHeight kAddress[] = {{1, 1}, {4, 2.5}, {8, 4.3}};
    if (variant.required.contains(vk::Capability::Quads)) return kQuads;
    if (variant.required.contains(vk::Capability::Address)) return kAddress;
    const bool tall =
        variant.required.contains(vk::Capability::Texel) || variant.required.contains(vk::Capability::Dot);
    return std::span(kUsual).first(tall ? 3 : 2);
}

// Cooperative matrices come beside the tiles of the best other variant: they are nothing for a few rows.
constexpr vk::CapabilitySet kMatrixNeeds = {vk::Capability::Subgroup, vk::Capability::I8, vk::Capability::Coopmat};
constexpr uint32_t kFewRows = 8;
constexpr uint32_t kMatricesOfWave = 2;   // each way, see shaders/integer_linear_coopmat.comp
constexpr double kMatrixCostOfRow = 0.1;  // as TileHeight::cost; where they are slower a quirk takes them away

/// The largest shape that cuts a block of K and whose tile is a whole number of elements an invocation.
std::optional<vk::CoopmatShape> matrixShape(const vk::DeviceInfo& info, uint32_t lanes) {
    std::optional<vk::CoopmatShape> best;
    for (const vk::CoopmatShape& shape : info.coopmatShapes) {
        const bool fits = shape.k % 4 == 0 && kBlockInputs % shape.k == 0 &&
                          kMatricesOfWave * kMatricesOfWave * shape.m * shape.n % lanes == 0;
        if (fits && (!best || shape.m * shape.n * shape.k > best->m * best->n * best->k)) best = shape;
    }
    return best;
}

/// What can read weights that lie in this order.
std::span<const Variant> variantsOf(const LinearShape& shape, WeightOrder order) {
    if (order == WeightOrder::Words) return kVariantsWords;
    return shape.format == WeightFormat::Int4 ? std::span<const Variant>(kVariantsW4) : std::span(kVariantsW8);
}

const char* matrixModule(const LinearShape& shape) {
    return shape.format == WeightFormat::Int4 ? "integer_linear_w4_coopmat" : "integer_linear_w8_coopmat";
}

/// What of `allowed` the linears of this device can use.
vk::CapabilitySet usableOf(const vk::Device& device, const vk::CapabilitySet& allowed) {
    const bool whole = weightLanes(device) == device.limits().subgroupSize;
    return whole ? allowed : allowed - vk::CapabilitySet{vk::Capability::Subgroup};
}

/// Subgroups of a workgroup each way in the matrix tile: on a CPU they run one after the other; on a GPU four of them
/// share what they read.
uint32_t matrixWaves(const vk::Device& device) {
    return device.info().type == vk::DeviceType::Cpu ? 1 : 2;
}

/// Subgroups that share the inputs of one row: see SPLIT in shaders/integer_linear.comp. On a CPU a workgroup is one core's
/// work anyway.
uint32_t splitsOf(const vk::Device& device, const LinearShape& shape, uint32_t wanted) {
    constexpr uint32_t kMostSplits = 8;  // 4096 inputs are eight chunks of a subgroup of 32
    if (shape.groups() != 1 || !device.subgroupSizeControl()) return 1;  // a workgroup must fall into subgroups of `lanes`
    if (wanted == 0 && device.info().type == vk::DeviceType::Cpu) return 1;
    const uint32_t lanes = weightLanes(device);
    const uint64_t chunks = divideUp(blocksOf(shape), std::max(lanes / 2, 1u));
    const uint64_t most = std::min<uint64_t>({wanted == 0 ? kMostSplits : wanted, chunks,
                                              device.limits().maxWorkgroupInvocations / lanes,
                                              device.limits().maxSharedBytes / ((kTilesOfGroup + 1) * lanes * sizeof(uint32_t))});
    return static_cast<uint32_t>(std::max<uint64_t>(most, 1));
}

/// Not every compiler knows cooperative matrices: see shaders/CMakeLists.txt.
bool isBuilt(std::string_view module) {
    const auto modules = shaders::modules();
    return std::any_of(modules.begin(), modules.end(), [&](const auto& item) { return item.name == module; });
}

/// The matrix tile for these weights, where the device and the compiler have one. It reads the order of lanes.
std::optional<vk::CoopmatShape> matrixOf(const vk::Device& device, const vk::CapabilitySet& usable,
                                         const LinearShape& shape, WeightOrder order) {
    if (order == WeightOrder::Words || !usable.contains(kMatrixNeeds) || !isBuilt(matrixModule(shape))) return {};
    return matrixShape(device.info(), weightLanes(device));
}

vk::PipelineSpec pipelineOf(std::string_view module, std::vector<uint32_t> constants, bool texel,
                            uint32_t subgroupSize) {
    vk::PipelineSpec spec;
    spec.module = module;
    spec.constants = std::move(constants);
    spec.pushBytes = sizeof(shaders::IntegerLinearPush);
    const vk::BindingKind source = texel ? vk::BindingKind::UniformTexel : vk::BindingKind::Storage;
    spec.bindings = {source, source, source, vk::BindingKind::Storage};
    spec.requiredSubgroupSize = subgroupSize;
    return spec;
}

}  // namespace

IntegerLinear::IntegerLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                             const LinearShape& shape, uint32_t maxRows, std::span<const LinearTile> tuned,
                             uint32_t splits)
    : device_(device),
      shape_(shape),
      order_(integerOrder(device, allowed, shape)),
      maxRows_(maxRows),
      splits_(splits) {
    if (!shape.isInteger() || shape.inputs == 0 || shape.inputs >= kMostInputs) {
        throw Error(Result::Unsupported, "integer linear layers need 4 or 8-bit weights and 1 to 131999 inputs, not " +
                                             std::to_string(shape.inputs));
    }
    const vk::CapabilitySet usable = usableOf(device, allowed);
    addTuned(library, usable, tuned);
    if (!tiles_.empty()) return;
    const Variant& variant = choose(variantsOf(shape, order_), usable);
    // A tile is of use when there are more rows than the next smaller one takes.
    uint32_t covered = 0;
    for (const TileHeight& height : tileHeights(variant)) {
        if (maxRows > covered) addTile(library, variant, height.rows, height.cost);
        covered = height.rows;
    }
    const std::optional<vk::CoopmatShape> matrix = matrixOf(device, usable, shape, order_);
    if (maxRows > kFewRows && matrix) {
        addMatrixTile(library, kMatrixCostOfRow * kMatricesOfWave * matrix->m * matrixWaves(device));
    }
}

std::vector<LinearTile> IntegerLinear::tiles(const vk::Device& device, const vk::CapabilitySet& allowed,
                                             const LinearShape& shape) {
    const vk::CapabilitySet usable = usableOf(device, allowed);
    const WeightOrder order = integerOrder(device, allowed, shape);
    std::vector<LinearTile> all;
    for (const Variant& variant : variantsOf(shape, order)) {
        if (!usable.contains(variant.required)) continue;
        for (const TileHeight& height : tileHeights(variant)) all.push_back({variant.module, height.rows, height.cost});
    }
    if (const std::optional<vk::CoopmatShape> matrix = matrixOf(device, usable, shape, order)) {
        const uint32_t rows = kMatricesOfWave * matrix->m * matrixWaves(device);
        all.push_back({matrixModule(shape), rows, kMatrixCostOfRow * rows});
    }
    return all;
}

void IntegerLinear::addTuned(vk::PipelineLibrary& library, const vk::CapabilitySet& usable,
                             std::span<const LinearTile> tuned) {
    if (tuned.empty()) return;
    const std::vector<LinearTile> possible = tiles(device_, usable, shape_);
    for (const LinearTile& tile : tuned) {
        const bool runs = std::any_of(possible.begin(), possible.end(), [&](const LinearTile& other) {
            return other.module == tile.module && other.rows == tile.rows;
        });
        if (!runs) continue;
        if (tile.module == matrixModule(shape_)) {
            addMatrixTile(library, tile.cost);
            continue;
        }
        for (const Variant& variant : variantsOf(shape_, order_)) {
            if (tile.module == variant.module) addTile(library, variant, tile.rows, tile.cost);
        }
    }
}

void IntegerLinear::addTile(vk::PipelineLibrary& library, const Variant& variant, uint32_t rows, double cost) {
    const uint32_t lanes = weightLanes(device_);
    Tile tile;
    tile.module = variant.module;
    tile.rows = rows;
    tile.columns = kTilesOfGroup * lanes;
    tile.cost = cost;
    tile.texel = variant.required.contains(vk::Capability::Texel);
    const bool address = variant.required.contains(vk::Capability::Address);
    const std::string module = address || tile.texel ? tile.module : tile.module + "_m" + std::to_string(rows);
    const bool subgroups = variant.required.contains(vk::Capability::Subgroup) && device_.subgroupSizeControl();
    std::vector<uint32_t> constants = {lanes};
    if (address) {
        // Blocks of a round: what a loop costs is shared by more of them where they are short.
        const uint32_t group = groupBlocksOf(shape_), round = std::min(std::max(4 / rows, 1u), group);
        constants.insert(constants.end(), {rows, round, round == group && blocksOf(shape_) % group == 0});
    } else if (variant.required.contains(vk::Capability::Subgroup) && !variant.required.contains(vk::Capability::Quads)) {
        constants.push_back(device_.info().type == vk::DeviceType::Cpu ? 1 : 0);
        if (rows == 1 || tile.texel) {
            const uint32_t splits = rows == 1 ? splitsOf(device_, shape_, splits_) : 1;
            constants.front() *= splits;
            constants.push_back(splits);
        }
        if (tile.texel) constants.push_back(rows);
    }
    tile.pipeline = &library.get(pipelineOf(module, std::move(constants), tile.texel, subgroups ? lanes : 0));
    tiles_.push_back(std::move(tile));
}

void IntegerLinear::addMatrixTile(vk::PipelineLibrary& library, double cost) {
    const uint32_t lanes = weightLanes(device_), waves = matrixWaves(device_);
    const vk::CoopmatShape shape = *matrixShape(device_.info(), lanes);
    Tile tile;
    tile.module = matrixModule(shape_);
    tile.rows = kMatricesOfWave * shape.m * waves;
    tile.columns = kMatricesOfWave * shape.n * waves;
    tile.cost = cost;
    tile.pipeline =
        &library.get(pipelineOf(tile.module, {lanes * waves * waves, shape.m, shape.n, shape.k, lanes, waves, waves},
                                false, device_.subgroupSizeControl() ? lanes : 0));
    tiles_.push_back(std::move(tile));
}

LinearTile IntegerLinear::tile(uint32_t rows) const {
    const Tile& chosen = tileFor(rows);
    return {chosen.module, chosen.rows, chosen.cost};
}

const IntegerLinear::Tile& IntegerLinear::tileFor(uint32_t rows) const {
    const auto cost = [rows](const Tile& tile) { return static_cast<double>(divideUp(rows, tile.rows)) * tile.cost; };
    return *std::min_element(tiles_.begin(), tiles_.end(),
                             [&](const Tile& a, const Tile& b) { return cost(a) < cost(b); });
}

void IntegerLinear::record(vk::Recorder& recorder, const Args& args) const {
    const LinearWeights& weights = args.weights;
    if (!(weights.shape() == shape_) || weights.order() != order_ || args.x.inputs() != shape_.inputs) {
        throw Error(Result::InvalidArgument,
                    "weights and quantised rows must have the shape and order their plan was made for");
    }
    if (args.rows == 0 || args.rows > maxRows_ || args.rows > args.x.rows()) {
        throw Error(Result::InvalidArgument, "cannot multiply " + std::to_string(args.rows) + " rows with a plan for " +
                                                 std::to_string(std::min(maxRows_, args.x.rows())));
    }
    const Tile& tile = tileFor(args.rows);
    if (tile.texel && (!args.x.texel() || !weights.panels().front().codesTexel)) {
        throw Error(Result::InvalidArgument,
                    "weights and quantised rows must be made with the capabilities of their plan");
    }
    const vk::BufferView y = args.y.part(0, uint64_t{args.rows} * weights.outputs() * sizeof(float));
    const vk::Binding x = tile.texel
                              ? vk::read(*args.x.texel())
                              : vk::read(args.x.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.inputs)));
    const vk::Binding out = args.accumulate ? vk::readWrite(y) : vk::write(y);
    const uint64_t rowsOfDispatch = uint64_t{device_.limits().maxWorkgroupCount[1]} * tile.rows;

    for (const WeightPanel& panel : weights.panels()) {
        const vk::Binding codes = tile.texel ? vk::read(*panel.codesTexel) : vk::read(panel.codes);
        const vk::Binding parameters = tile.texel ? vk::read(*panel.parametersTexel) : vk::read(panel.parameters);
        for (uint64_t first = 0; first < args.rows; first += rowsOfDispatch) {
            shaders::IntegerLinearPush push{};
            push.rows = args.rows;
            push.firstRow = static_cast<uint32_t>(first);
            push.outputs = weights.outputs();
            push.firstOutput = panel.rowBegin;
            push.panelRows = panel.rowCount;
            push.blocks = blocksOf(shape_);
            push.groupBlocks = groupBlocksOf(shape_);
            push.groups = shape_.groups();
            push.accumulate = args.accumulate ? 1 : 0;
            setAddress(args.x.storage(), push.activationsLow, push.activationsHigh);
            setAddress(panel.codes, push.codesLow, push.codesHigh);
            setAddress(panel.parameters, push.parametersLow, push.parametersHigh);
            const uint64_t rows = std::min(rowsOfDispatch, args.rows - first);
            recorder.dispatch(*tile.pipeline, {x, codes, parameters, out}, push,
                              {static_cast<uint32_t>(divideUp(panel.rowCount, tile.columns)),
                               static_cast<uint32_t>(divideUp(rows, tile.rows)), 1},
                              tile.rows == 1 ? "integer_gemv" : "integer_gemm");
        }
    }
}

}  // namespace vulcat::kernels
