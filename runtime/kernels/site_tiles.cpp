#include "kernels/site_tiles.h"

#include "kernels/launch.h"
#include "kernels/variant.h"

#include "base/checked.h"

#include <algorithm>
#include <string>

namespace vulcat::kernels {
namespace {

// Columns of a team: enough that starting it and reading the row for the norm once more do not count.
constexpr uint32_t kShareColumns = 512;

}  // namespace

SiteTiles::SiteTiles(vk::Device& device, vk::PipelineLibrary& library, const SiteCodesShape& shape)
    : device_(device), row_(device, shape) {
    uint32_t share = 1;
    if (shape.block != 0) {
        const uint32_t blocks = shape.width / shape.block;
        share = std::clamp(kShareColumns / shape.block, 1u, blocks);
        teams_ = static_cast<uint32_t>(divideUp(blocks, share));
    }
    vk::PipelineSpec spec;
    spec.module = "site_tiles_address";
    spec.constants = {weightLanes(device), share};
    spec.constants.insert(spec.constants.end(), row_.constants().begin(), row_.constants().end());
    spec.pushBytes = sizeof(shaders::SiteTilesPush);
    spec.bindings.assign(6, vk::BindingKind::Storage);
    if (device.subgroupSizeControl()) spec.requiredSubgroupSize = weightLanes(device);
    pipeline_ = &library.get(spec);
}

bool SiteTiles::preferred(uint32_t rows) const {
    // What single kernels save in arithmetic on many rows at once passes the price of their dispatches (15 to 30 us) at about
    // this many elements.
    return rows <= kMostRows && (rows == 1 || uint64_t{rows} * shape().width <= 8192);
}

void SiteTiles::record(vk::Recorder& recorder, const Args& args) const {
    const uint32_t width = shape().width;
    if (args.rows == 0 || args.rows > args.out.rows() || args.out.inputs() != width) {
        throw Error(Result::InvalidArgument,
                    "quantised rows must have the site's width and room for " + std::to_string(args.rows) + " rows");
    }
    const vk::BufferView x = floatRows(args.x, args.rows, shape().sourceWidth());
    const uint32_t counters = teams_ == 1 ? 1 : args.rows;
    const uint32_t most = device_.limits().maxWorkgroupCount[1];
    for (uint32_t first = 0; first < args.rows; first += std::min(most, args.rows - first)) {
        recorder.dispatch(*pipeline_,
                          {vk::read(x), vk::read(row_.floats(args.views)), vk::read(row_.blocks(args.views)),
                           vk::write(args.out.storage().part(0, QuantisedRows::sizeBytes(args.rows, width))),
                           vk::readWrite(floatRows(args.views.scratch, args.rows, width)),
                           vk::readWrite(args.arrivals.part(0, counters * sizeof(uint32_t)))},
                          shaders::SiteTilesPush{row_.push(x, args.views), first},
                          {teams_, std::min(most, args.rows - first), 1}, "site_tiles");
    }
}

}  // namespace vulcat::kernels
