#pragma once
// The input of a site in one dispatch as SiteCodes does it, for GPUs and wide rows: a row's blocks are divided among workgroups,
// of which the last one to end does mix and codes. Single kernels take three to five dispatches for it, each of which costs
// more to start and to wait for than its work on a few rows.

#include "kernels/site_codes.h"

namespace vulcat::kernels {

class SiteTeams {
  public:
    struct Args {
        vk::BufferView x;       ///< float [rows][K]; SwiGlu: [rows][2K], a row's gates and then its ups
        vk::BufferView tables;  ///< layOut()
        const QuantisedRows& out;
        uint32_t rows = 0;        ///< 1 <= rows <= out.rows() and kMostRows
        vk::BufferView arrivals;  ///< arrivalBytes(); its first counterBytes() zero before the first use and after each
    };

    /// Whether there is such a kernel for the device and the shape.
    static bool fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape);

    /// Precondition: fits(). Throws Error(InvalidArgument) when the mix does not divide the width.
    SiteTeams(vk::Device& device, vk::PipelineLibrary& library, const SiteCodesShape& shape);

    void record(vk::Recorder& recorder, const Args& args) const;

    /// Whether teams are expected to be faster than SiteCodes on this device.
    static bool suits(const vk::Device& device, const SiteCodesShape& shape);

    /// True when one dispatch is expected to be faster than single kernels for so many rows.
    bool preferred(uint32_t rows) const { return rows <= kMostRows; }

    /// Blocks in the order of lanes (BlockTransform::layOut()) and behind them SiteCodes::layOut().
    static std::vector<uint32_t> layOut(std::vector<uint32_t> blocks, std::span<const float> floats);

    static constexpr uint32_t kMostRows = 16;
    static uint64_t counterBytes();
    /// Bytes of Args::arrivals for `rows` rows of `width` floats or fewer.
    static uint64_t arrivalBytes(uint64_t width, uint32_t rows = kMostRows);

  private:
    SiteCodesShape shape_;
    uint32_t teams_ = 1;  // workgroups of a row
    const vk::Pipeline* pipeline_ = nullptr;
};

}  // namespace vulcat::kernels
