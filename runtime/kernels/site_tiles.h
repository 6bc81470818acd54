#pragma once
// The input of a site in one dispatch as SiteCodes does it, for drivers where loads at addresses that all lanes share are
// nearly free (site_row.h): blocks and tiles lie in registers, and a row's blocks are divided among workgroups, of which the last
// one to end does mix and codes.

#include "kernels/site_row.h"

namespace vulcat::kernels {

class SiteTiles {
  public:
    struct Args {
        vk::BufferView x;  ///< float [rows][K]; SwiGlu: [rows][2K], a row's gates and then its ups
        SiteRowViews views;
        const QuantisedRows& out;
        uint32_t rows = 0;        ///< 1 <= rows <= out.rows()
        vk::BufferView arrivals;  ///< arrivalBytes(), zero before the first use and after each
    };

    /// Precondition: SiteRow::fits(). Throws Error(InvalidArgument) when the mix does not divide the width.
    SiteTiles(vk::Device& device, vk::PipelineLibrary& library, const SiteCodesShape& shape);

    void record(vk::Recorder& recorder, const Args& args) const;

    const SiteCodesShape& shape() const { return row_.shape(); }

    /// True when one dispatch is expected to be faster than single kernels for so many rows.
    bool preferred(uint32_t rows) const;

    /// Bytes of Args::arrivals for any shape and every number of rows that is preferred().
    static constexpr uint64_t arrivalBytes() { return kMostRows * sizeof(uint32_t); }

  private:
    static constexpr uint32_t kMostRows = 256;

    const vk::Device& device_;
    SiteRow row_;
    uint32_t teams_ = 1;  // workgroups of a row
    const vk::Pipeline* pipeline_ = nullptr;
};

}  // namespace vulcat::kernels
