#include "kernels/integer_tiles.h"

#include "kernels/variant.h"

#include "shaders/interface/integer_linear.h"
#include "shaders/table.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr Variant kDot = {"integer_linear_dot", {vk::Capability::Dot}, 3};
constexpr Variant kDotScalars = {
    "integer_linear_dot_scalars", {vk::Capability::Dot, vk::Capability::Subgroup, vk::Capability::Scalars}, 4};
constexpr Variant kVariantsW4[] = {
    {"integer_linear_w4", {}, 0},
    {"integer_linear_w4_subgroup", {vk::Capability::Subgroup}, 1},
    {"integer_linear_w4_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    kDot,
    kDotScalars,
    {"integer_linear_w4_quads", {vk::Capability::Subgroup, vk::Capability::Quads}, 5},
};
constexpr Variant kVariantsW8[] = {
    {"integer_linear_w8", {}, 0},
    {"integer_linear_w8_subgroup", {vk::Capability::Subgroup}, 1},
    {"integer_linear_w8_texel", {vk::Capability::Subgroup, vk::Capability::Texel}, 2},
    kDot,
    kDotScalars,
};
constexpr Variant kVariantsWords[] = {
    {"integer_linear_w4_address", {vk::Capability::Subgroup, vk::Capability::Address}, 0},
};
constexpr const char* kMatrixModule = "integer_linear_coopmat";
constexpr vk::CapabilitySet kMatrixNeeds = {vk::Capability::Subgroup, vk::Capability::I8, vk::Capability::Coopmat};

constexpr uint32_t kBlockInputs = 32;
constexpr uint32_t kNvidia = 0x10DE;   // has registers for AHEAD, see setDot and addMatrices; measured nowhere else yet
constexpr uint32_t kAhead = 1;         // LinearTile::form of tiles with AHEAD
constexpr uint32_t kSliced = 2;        // and of matrix tiles with SLICES beside it

/// A height of tiles in rows of x, and what one costs beside a tile of a single row: taller ones unpack weights once for
/// all rows.
struct TileHeight {
    uint32_t rows = 1;
    double cost = 1;
};

// Measured on llvmpipe, for ADDRESS on that of Mesa 26, for QUADS on SwiftShader, and for DOT on an NVIDIA H100, there beside
// a matrix tile of 16 rows. BASE and SUBGROUP have no registers for tiles of 8.
std::span<const TileHeight> tileHeights(const Variant& variant) {
    static constexpr TileHeight kUsual[] = {{1, 0.96}, {4, 1.68}, {8, 2.64}};
    static constexpr TileHeight kQuads[] = {{1, 1}, {8, 6}};
    static constexpr TileHeight kAddress[] = {{1, 1}, {4, 2.5}, {8, 4.3}};
    static constexpr TileHeight kDotHeights[] = {{1, 0.75}, {4, 0.9}, {8, 1.5}};
    if (variant.required.contains(vk::Capability::Quads)) return kQuads;
    if (variant.required.contains(vk::Capability::Address)) return kAddress;
    if (variant.required.contains(vk::Capability::Dot)) return kDotHeights;
    return std::span(kUsual).first(variant.required.contains(vk::Capability::Texel) ? 3 : 2);
}

/// What can read weights that lie in this order.
std::span<const Variant> variantsOf(const LinearShape& shape, WeightOrder order) {
    if (order == WeightOrder::Words) return kVariantsWords;
    return shape.format == WeightFormat::Int4 ? std::span<const Variant>(kVariantsW4) : std::span(kVariantsW8);
}

/// Not every compiler knows cooperative matrices: see shaders/CMakeLists.txt.
bool isBuilt(std::string_view module) {
    const auto modules = shaders::modules();
    return std::any_of(modules.begin(), modules.end(), [&](const auto& item) { return item.name == module; });
}

/// Makes the tiles of one linear on one device.
class Tiles {
  public:
    Tiles(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearSize& size, uint32_t maxRows, uint32_t splits)
        : device_(device), size_(size), shape_(size.shape), maxRows_(maxRows), splits_(splits), lanes_(weightLanes(device)),
          cpu_(device.info().type == vk::DeviceType::Cpu), nvidia_(device.info().vendorId == kNvidia) {
        const bool whole = lanes_ == device.limits().subgroupSize;
        const vk::CapabilitySet usable = whole ? allowed : allowed - vk::CapabilitySet{vk::Capability::Subgroup};
        const WeightOrder order = integerOrder(device, allowed, shape_);
        const Variant& usual = choose(variantsOf(shape_, order), usable);
        // Where a GPU has dot products the tiers below them are slower by far, and take its tuner minutes.
        const bool dots = !cpu_ && usual.required.contains(vk::Capability::Dot);
        for (const Variant& variant : variantsOf(shape_, order)) {
            if (!usable.contains(variant.required) || (dots && !variant.required.contains(vk::Capability::Dot))) continue;
            for (const TileHeight& height : tileHeights(variant)) {
                const bool ahead = takesAhead(variant, height);
                add(variant, height, 0, &variant == &usual && !(ahead && nvidia_));
                if (ahead) add(variant, height, kAhead, &variant == &usual && nvidia_);
            }
        }
        // Cooperative matrices come beside the tiles of the best other variant: they are nothing for a few rows.
        if (order == WeightOrder::Lanes && usable.contains(kMatrixNeeds) && isBuilt(kMatrixModule)) addMatrices();
    }

    std::vector<IntegerTile> take() { return std::move(tiles_); }

  private:
    /// See AHEAD in shaders/integer_linear_dot.comp. With scalars the compiler looks ahead by itself.
    bool takesAhead(const Variant& variant, const TileHeight& height) const {
        const bool dot = variant.required.contains(vk::Capability::Dot) && !variant.required.contains(vk::Capability::Scalars);
        return dot && height.rows == 1 && shape_.groups() == 1 && (!cpu_ || splits_ != 0);
    }

    void add(const Variant& variant, const TileHeight& height, uint32_t form, bool usual) {
        IntegerTile item;
        item.tile.module = variant.module;
        item.tile.rows = height.rows;
        item.tile.cost = height.cost;
        item.tile.form = form;
        // On a GPU a pass over a small layer is mostly latency.
        constexpr double kLatencyOutputs = 9000;
        if (!cpu_) item.tile.cost *= 1 + kLatencyOutputs / size_.outputs;
        item.usual = usual;
        item.columns = kTilesOfGroup * lanes_;
        item.texel = variant.required.contains(vk::Capability::Texel);
        item.module = variant.module;
        if (variant.required.contains(vk::Capability::Address)) {
            item.spec.constants = addressConstants(shape_, lanes_, height.rows);
        } else if (variant.required.contains(vk::Capability::Dot)) {
            setDot(item, variant.required.contains(vk::Capability::Scalars));
        } else {
            if (!item.texel) item.module += "_m" + std::to_string(height.rows);
            setLanes(item, variant);
        }
        const bool subgroups = variant.required.contains(vk::Capability::Subgroup) && device_.subgroupSizeControl();
        finish(std::move(item), subgroups ? lanes_ : 0);
    }

    void finish(IntegerTile item, uint32_t subgroupSize) {
        item.spec.pushBytes = sizeof(shaders::IntegerLinearPush);
        const vk::BindingKind source = item.texel ? vk::BindingKind::UniformTexel : vk::BindingKind::Storage;
        item.spec.bindings = {source, source, source, vk::BindingKind::Storage};
        item.spec.requiredSubgroupSize = subgroupSize;
        tiles_.push_back(std::move(item));
    }

    void setLanes(IntegerTile& item, const Variant& variant) const {
        const uint32_t rows = item.tile.rows;
        item.spec.constants = {lanes_};
        if (!variant.required.contains(vk::Capability::Subgroup) || variant.required.contains(vk::Capability::Quads)) return;
        item.spec.constants.push_back(cpu_ ? 1 : 0);
        if (rows == 1 || item.texel) {
            const uint32_t splits = rows == 1 ? laneSplits() : 1;
            if (rows == 1 && splits_ != 0) item.tile.splits = splits;
            item.spec.constants.front() *= splits;
            item.spec.constants.push_back(splits);
        }
        if (item.texel) item.spec.constants.push_back(rows);
    }

    /// Subgroups that share the inputs of one row: see SPLIT in shaders/integer_linear.comp. On a CPU a workgroup is one
    /// core's work anyway.
    uint32_t laneSplits() const {
        constexpr uint32_t kMostSplits = 8;  // 4096 inputs are eight chunks of a subgroup of 32
        // A workgroup must fall into subgroups of `lanes`.
        const bool falls = device_.subgroupSizeControl() || (!cpu_ && device_.enabled().contains(vk::Capability::Scalars));
        if (shape_.groups() != 1 || !falls) return 1;
        if (splits_ == 0 && cpu_) return 1;
        const uint64_t chunks = divideUp(blocksOf(shape_), std::max(lanes_ / 2, 1u));
        const uint64_t most = std::min<uint64_t>({splits_ == 0 ? kMostSplits : splits_, chunks,
                                                  device_.limits().maxWorkgroupInvocations / lanes_,
                                                  device_.limits().maxSharedBytes / ((kTilesOfGroup + 1) * lanes_ * sizeof(uint32_t))});
        return static_cast<uint32_t>(std::max<uint64_t>(most, 1));
    }

    /// See shaders/integer_linear_dot.comp. Splits, workgroups and blocks that are asked for at once, as they were fastest on
    /// an H100: its memory is busy with some 4 MB under way, which with AHEAD half as many subgroups ask for.
    void setDot(IntegerTile& item, bool scalars) const {
        constexpr uint32_t kBlocksAtOnce = 4, kMostSplits = 32;
        // With scalars: GCN has 64 registers for each of 1024 invocations of a workgroup, and more would be spilled.
        constexpr uint32_t kUnitsAtOnce = 8, kMostSums = 8, kThreadsOfMore = 512;
        constexpr uint32_t kThreadsAhead = 512;  // with twice as many it was half as fast
        const bool ahead = item.tile.form == kAhead;
        const uint32_t subgroups = ahead ? 2048 : 4096;  // 16 or 32 for each of 128 cores
        constexpr uint32_t kManyTiles = 256;     // enough for two to share what they read of several rows
        constexpr uint32_t kTermsOfRound = 64;
        const uint32_t rows = item.tile.rows, groups = shape_.groups();
        const auto tiles = static_cast<uint32_t>(divideUp(size_.outputs, lanes_));
        const uint32_t tilesAtOnce = rows > 1 && tiles >= kManyTiles ? 2 : 1;
        const uint32_t units = tilesAtOnce * shape_.units() / blocksOf(shape_);
        const uint32_t registers = ahead ? kBlocksAtOnce : scalars ? kUnitsAtOnce : ~0u;  // of units
        const uint32_t atOnce = std::min(kBlocksAtOnce, registers / units);
        const uint32_t unroll = std::bit_floor(std::min(atOnce, groupBlocksOf(shape_)));
        const uint32_t parts = std::max(groups == 1 ? blocksOf(shape_) / unroll : groups, 1u);
        const uint32_t wanted = std::max(subgroups * tilesAtOnce / tiles, ahead ? 2u : 1u);
        const uint32_t usual = std::min(std::bit_floor(wanted), std::bit_floor(parts));
        const auto shares = static_cast<uint32_t>(device_.limits().maxSharedBytes / (rows * tilesAtOnce * lanes_ * sizeof(uint32_t)));
        const uint32_t threads = ahead ? kThreadsAhead : scalars && rows * tilesAtOnce > kMostSums ? kThreadsOfMore : ~0u;
        const uint32_t most = std::min({kMostSplits, shares, std::min(threads, device_.limits().maxWorkgroupInvocations) / lanes_});
        const uint32_t splits = std::min(splits_ != 0 ? splits_ : cpu_ ? 1 : usual, most);
        const uint32_t terms = std::min(std::max(kTermsOfRound / rows, splits), shares);
        if (splits_ != 0) item.tile.splits = splits;
        item.columns = tilesAtOnce * lanes_;
        const uint32_t roundGroups = groups == 1 || splits == 1 ? 1 : terms;
        item.spec.constants = {lanes_ * splits, rows, tilesAtOnce, splits, unroll, roundGroups, shape_.bits()};
        if (ahead) item.module += "_ahead";
    }

    /// The largest shape that cuts a block of K, whose sums are whole vectors of four and whose rows are eights, as they are loaded.
    std::optional<vk::CoopmatShape> matrixShape() const {
        std::optional<vk::CoopmatShape> best;
        for (const vk::CoopmatShape& shape : device_.info().coopmatShapes) {
            const bool fits = shape.k % 8 == 0 && kBlockInputs % shape.k == 0 && shape.n % 4 == 0 && shape.m % 8 == 0;
            if (fits && (!best || shape.m * shape.n * shape.k > best->m * best->n * best->k)) best = shape;
        }
        return best;
    }

    /// Subgroups of a workgroup and matrices of a subgroup, each way; blocks of a step and steps under way: see
    /// shaders/integer_linear_coopmat.comp.
    struct MatrixTile {
        uint32_t wavesM, wavesN, fragsM, fragsN, step, depth;
        double cost;            ///< as TileHeight::cost
        double workgroups = 0;  ///< that a large GPU runs side by side
        uint32_t form = 0;      ///< LinearTile::form
        uint32_t slices() const { return form == kSliced ? 2 : 1; }
    };

    void addMatrices() {
        const std::optional<vk::CoopmatShape> shape = matrixShape();
        if (!shape) return;
        const uint32_t most = cpu_ ? 2 : 16;  // a CPU's compiler takes seconds for each
        const auto frags = [most](uint32_t size, uint32_t side) { return std::clamp(size / side, 1u, most); };
        // On a CPU the subgroups of a workgroup run one after the other.
        if (cpu_ && splits_ == 0) {
            addMatrix(*shape, {1, 1, 2, 2, 1, 1, 1.6});
            return;
        }
        // On a GPU what a large tile reads serves more products, but a layer has few of them. Measured on an H100.
        addMatrix(*shape, {1, 4, 1, 1, 2, 3, 1, 400});
        addMatrix(*shape, {2, 2, frags(32, shape->m), frags(32, shape->n), 2, 3, 2.5, 230});
        constexpr uint64_t kRows = 128, kColumns = 256, kWorkgroups = 128;
        const bool large = shape_.groups() == 1 && divideUp(maxRows_, kRows) * (size_.outputs / kColumns) >= kWorkgroups;
        const bool ahead = large && nvidia_ && blocksOf(shape_) % 2 == 0;
        addMatrix(*shape, {2, 4, frags(64, shape->m), frags(64, shape->n), 1, 2, 3.6, 115}, large && !ahead);
        addMatrix(*shape, {2, 4, frags(64, shape->m), frags(32, shape->n), 2, 2, 3.6, 115}, !large);
        addMatrix(*shape, {2, 2, frags(64, shape->m), frags(64, shape->n), 2, 2, 2, 264, kAhead}, ahead);
        // As many subgroups a core with one tile as that has with two. Measured nowhere yet: for the tuner to choose.
        addMatrix(*shape, {2, 2, frags(64, shape->m), frags(64, shape->n), 2, 2, 2, 132, kSliced}, false);
    }

    /// Groups hold whole steps, and their results need the registers of steps under way.
    MatrixTile fitted(MatrixTile matrices) const {
        const bool oneGroup = shape_.groups() == 1;
        if (!oneGroup && groupBlocksOf(shape_) % matrices.step != 0) matrices.step = 1;
        if (!oneGroup) matrices.depth = 1;
        return matrices;
    }

    bool canLookAhead(const MatrixTile& matrices, uint32_t shapeK) const {
        const uint32_t ofStep = kBlockInputs * matrices.step / shapeK / matrices.slices();
        return blocksOf(shape_) % matrices.step == 0 && ofStep * matrices.depth % 2 == 0;
    }

    void addMatrix(const vk::CoopmatShape& shape, const MatrixTile& wanted, bool usual = true) {
        const MatrixTile matrices = fitted(wanted);
        const bool oneGroup = shape_.groups() == 1, ahead = matrices.form != 0 && canLookAhead(matrices, shape.k);
        const uint32_t slices = matrices.slices(), waves = slices * matrices.wavesM * matrices.wavesN;
        if (slices > 1 && (!oneGroup || kBlockInputs * matrices.step / shape.k % slices != 0)) return;
        const uint32_t rows = matrices.wavesM * matrices.fragsM * shape.m, columns = matrices.wavesN * matrices.fragsN * shape.n;
        // As the shader's shared arrays: both sides' words or the results on their way, and parameters of rows and columns.
        const uint32_t chunk = shape.k < 16 ? 8 : 16;
        const uint32_t sides = 2 * (rows + columns) * (matrices.step * kBlockInputs / chunk + 1) * 16;
        const uint32_t results = waves * shape.m * (matrices.fragsN * shape.n / 4 + 2) * 16;
        const uint32_t shared = std::max(sides, results) + rows * 8 + columns * (oneGroup ? 12 : 20);
        if (lanes_ * waves > device_.limits().maxWorkgroupInvocations || shared > device_.limits().maxSharedBytes) return;
        IntegerTile item;
        item.tile = {kMatrixModule, rows, matrices.cost, columns / lanes_, cpu_ ? splits_ : 0, wanted.form};
        item.tile.atOnce = std::max(matrices.workgroups * columns / size_.outputs, 1.0);
        item.usual = usual;
        item.columns = columns;
        item.module = kMatrixModule;
        item.spec.constants = {lanes_ * waves,  shape.m,         shape.n,         shape.k,       lanes_,   matrices.wavesM,
                               matrices.wavesN, matrices.fragsM, matrices.fragsN, matrices.step, oneGroup, matrices.depth,
                               shape_.bits(),   ahead,           slices};
        finish(std::move(item), device_.subgroupSizeControl() ? lanes_ : 0);
    }

    const vk::Device& device_;
    LinearSize size_;
    LinearShape shape_;
    uint32_t maxRows_, splits_, lanes_;
    bool cpu_, nvidia_;
    std::vector<IntegerTile> tiles_;
};

}  // namespace

uint32_t blocksOf(const LinearShape& shape) {
    return shape.paddedInputs() / kBlockInputs;
}

uint32_t groupBlocksOf(const LinearShape& shape) {
    return shape.groupSize == 0 ? blocksOf(shape) : std::min(shape.groupSize / kBlockInputs, blocksOf(shape));
}

std::vector<uint32_t> addressConstants(const LinearShape& shape, uint32_t lanes, uint32_t rows) {
    // Blocks of a round: what a loop costs is shared by more of them where they are short.
    const uint32_t group = groupBlocksOf(shape), round = std::min(std::max(4 / rows, 1u), group);
    return {lanes, rows, round, round == group && blocksOf(shape) % group == 0};
}

std::vector<IntegerTile> integerTiles(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearSize& size,
                                      uint32_t maxRows, uint32_t splits) {
    return Tiles(device, allowed, size, maxRows, splits).take();
}

}  // namespace vulcat::kernels
