#pragma once
// The input of a site for one row as shaders/lib/site_row.glsl computes it, in registers: what the kernels that include it
// share. It is for drivers where loads at addresses that all lanes share are nearly free (newer llvmpipe).

#include "kernels/site_codes.h"

#include "shaders/interface/row_kernels.h"

#include <cstdint>
#include <vector>

namespace vulcat::kernels {

/// What a site's row is made of, beside the row itself.
struct SiteRowViews {
    vk::BufferView floats;   ///< SiteCodes::layOut()
    vk::BufferView blocks;   ///< BlockTransform::layOut() in the order of words; empty without blocks
    vk::BufferView scratch;  ///< [rows][K] float32, overlaps nothing else
};

class SiteRow {
  public:
    /// Whether the device and the shape suit it.
    static bool fits(const vk::Device& device, const vk::CapabilitySet& allowed, const SiteCodesShape& shape);

    /// Precondition: fits(). Throws Error(InvalidArgument) when the mix does not divide the width.
    explicit SiteRow(const vk::Device& device, const SiteCodesShape& shape);

    const SiteCodesShape& shape() const { return shape_; }
    const std::vector<uint32_t>& constants() const { return constants_; }  ///< from SITE_CONSTANTS on

    /// x: [rows][shape().sourceWidth()].
    shaders::SiteRowPush push(const vk::BufferView& x, const SiteRowViews& views) const;
    /// What the shader reads of the tables, for bindings: never empty.
    vk::BufferView floats(const SiteRowViews& views) const;
    vk::BufferView blocks(const SiteRowViews& views) const;

  private:
    SiteCodesShape shape_;
    std::vector<uint32_t> constants_;
};

}  // namespace vulcat::kernels
