#include "kernels/site_teams.h"

#include "kernels/block_transform.h"
#include "kernels/launch.h"
#include "kernels/site_tiles.h"

#include "shaders/interface/row_kernels.h"

#include "base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kMostBlock = 128;      // its weights lie in registers
constexpr uint32_t kMostHeld = 64;        // floats of a step in the registers of an invocation
constexpr uint32_t kMostStepOrder = 32;   // BUTTERFLIES of the shader
constexpr uint32_t kMostCoreShared = 64;  // its matrix lies in shared memory

// How site_teams.comp is cut for a shape; its header says what the numbers mean.
struct Cut {
    uint32_t threads, share, low, high, slices;
};

// One workgroup mixes the whole row, so it has what a multiprocessor needs to hide its waits, and a wide row's share of an
// invocation stays in registers.
uint32_t threadsOf(const vk::Device& device, const SiteCodesShape& shape) {
    const vk::Limits& limits = device.limits();
    const uint32_t wanted = shape.width <= 8192 ? 256 : 512;
    return std::bit_floor(std::min({wanted, limits.maxWorkgroupInvocations, limits.maxWorkgroupSize[0]}));
}

// Blocks of a team: teams enough to read the transform with many multiprocessors, of which each reads the row once for the norm.
uint32_t shareOf(const SiteCodesShape& shape, uint32_t threads) {
    constexpr uint32_t kOutputs = 256;
    return std::clamp(std::min(threads, kOutputs) / shape.block, 1u, shape.width / shape.block);
}

// The stride of a mix that does nothing is free.
uint32_t strideOf(const SiteCodesShape& shape) {
    return shape.mixCore == 1 && shape.mixOrder == 1 ? shape.block : shape.mixStride;
}

uint64_t sharedBytes(const SiteCodesShape& shape, const Cut& cut) {
    const uint64_t values = std::max(shape.width / cut.slices, cut.share * shape.block) * sizeof(float);
    const uint64_t matrix = shape.mixCore * roundUp(shape.mixCore, 8) * sizeof(float);
    const uint64_t reductions = (cut.threads + 32) * 2 * sizeof(float) + sizeof(uint32_t);
    return values + matrix + reductions;
}

// Whether both steps of the mix keep what they hold in registers.
bool holds(const SiteCodesShape& shape, const Cut& cut) {
    const uint32_t tile = std::min(shape.mixCore, 8u);
    const uint64_t padded = divideUp(shape.mixCore, tile) * tile;
    const uint64_t first = divideUp(shape.width / shape.mixCore * padded, uint64_t{cut.threads} * tile * cut.low) * tile * cut.low;
    const uint64_t second = divideUp(shape.width, uint64_t{cut.threads} * 4 * cut.high) * 4 * cut.high;
    const uint32_t inputs = std::min(shape.mixCore, 16u) * cut.low;
    return first <= kMostHeld && second <= kMostHeld && inputs <= kMostHeld && std::max(cut.low, cut.high) <= kMostStepOrder;
}

std::optional<Cut> cutOf(const vk::Device& device, const SiteCodesShape& shape) {
    Cut cut{};
    cut.threads = threadsOf(device, shape);
    cut.share = shareOf(shape, cut.threads);
    // The steps hold alike: one as many outputs of the dense mix as the other has positions.
    const auto order = static_cast<uint32_t>(std::countr_zero(shape.mixOrder));
    const auto outputs = static_cast<uint32_t>(std::bit_width(std::min(shape.mixCore, 8u) - 1));
    cut.low = 1u << std::min(order, (order + 2 - std::min(outputs, 2 + order)) / 2);
    cut.high = shape.mixOrder / cut.low;
    for (cut.slices = 1; strideOf(shape) % (4 * cut.slices) == 0; cut.slices *= 2) {
        if (sharedBytes(shape, cut) <= device.limits().maxSharedBytes) return cut;
    }
    return std::nullopt;
}

}  // namespace

bool SiteTeams::fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape) {
    shape.requireWhole();
    const bool blocks = shape.block > 0 && shape.block % 8 == 0 && shape.width % shape.block == 0 && shape.width % 32 == 0 &&
                        shape.block <= std::min(kMostBlock, threadsOf(device, shape));
    if (!blocks || shape.mixCore > kMostCoreShared || strideOf(shape) % 4 != 0 ||
        BlockTransform::order(device, allowed, shape.width, shape.block) != WeightOrder::Lanes)
        return false;
    const std::optional<Cut> cut = cutOf(device, shape);
    return cut && holds(shape, *cut);
}

SiteTeams::SiteTeams(vk::Device& device, vk::PipelineLibrary& library, const SiteCodesShape& shape) : shape_(shape) {
    shape.requireWhole();
    const Cut cut = cutOf(device, shape).value();
    teams_ = static_cast<uint32_t>(divideUp(shape.width / shape.block, cut.share));
    vk::PipelineSpec spec;
    spec.module = "site_teams";
    spec.constants = {cut.threads,
                      shape.width,
                      static_cast<uint32_t>(shape.source),
                      shape.block,
                      shape.mixCore,
                      strideOf(shape),
                      cut.low,
                      cut.high,
                      formatConstant(shape.format),
                      cut.share,
                      cut.slices};
    spec.pushBytes = sizeof(shaders::SiteTeamsPush);
    spec.bindings.assign(4, vk::BindingKind::Storage);
    pipeline_ = &library.get(spec);
}

bool SiteTeams::suits(const vk::Device& device, const SiteCodesShape& shape) {
    // On a CPU the invocations of a workgroup run one after the other, and what they wait for each other is dear.
    return device.info().workgroupsShare && device.info().type != vk::DeviceType::Cpu && shape.width > 512;
}

// What a site works in serves both kernels.
static_assert(SiteTiles::arrivalBytes() <= shaders::kSiteCounters * sizeof(uint32_t));

uint64_t SiteTeams::counterBytes() {
    return shaders::kSiteCounters * sizeof(uint32_t);
}

uint64_t SiteTeams::arrivalBytes(uint64_t width, uint32_t rows) {
    return counterBytes() + std::min(rows, kMostRows) * width * sizeof(float);
}

std::vector<uint32_t> SiteTeams::layOut(std::vector<uint32_t> blocks, std::span<const float> floats) {
    for (const float value : floats) blocks.push_back(std::bit_cast<uint32_t>(value));
    return blocks;
}

void SiteTeams::record(vk::Recorder& recorder, const Args& args) const {
    if (args.rows == 0 || args.rows > std::min(args.out.rows(), kMostRows) || args.out.inputs() != shape_.width) {
        throw Error(Result::InvalidArgument,
                    "quantised rows must have the site's width and room for " + std::to_string(args.rows) + " rows");
    }
    const uint64_t tables = uint64_t{shape_.width} * shape_.block / 2 + shape_.floatCount();
    shaders::SiteTeamsPush push{};
    push.epsilon = shape_.epsilon;
    push.mixScale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.mixOrder)));
    recorder.dispatch(*pipeline_,
                      {vk::read(floatRows(args.x, args.rows, shape_.sourceWidth())), vk::read(floatRows(args.tables, 1, tables)),
                       vk::write(args.out.storage().part(0, QuantisedRows::sizeBytes(args.rows, shape_.width))),
                       vk::readWrite(args.arrivals.part(0, arrivalBytes(shape_.width, args.rows)))},
                      push, {teams_, args.rows, 1}, "site_teams");
}

}  // namespace vulcat::kernels
