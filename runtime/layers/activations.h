#pragma once
// The views a decoder layer works in. They belong to a session and are made once (model/activation_plan.h).

#include "layers/transform_site.h"

#include "format/names.h"
#include "kernels/quantise_rows.h"

#include <array>

namespace vulcat::layers {

/// For `rows` rows at most; d hidden size, H and Hk heads of D, F intermediate size.
struct Activations {
    vk::BufferView hidden;    ///< [rows, d], the residual stream
    vk::BufferView normed;    ///< [rows, d]
    vk::BufferView qkv;       ///< [rows, (H + 2 Hk) D]
    vk::BufferView mixed;     ///< [rows, H D], what attention gives
    vk::BufferView gateUp;    ///< [rows, 2 F]
    vk::BufferView product;   ///< [rows, F]
    vk::BufferView first;     ///< [rows, widest site]
    vk::BufferView second;    ///< [rows, widest site]
    vk::BufferView arrivals;  ///< see SiteScratch
    /// By format::SiteKind; null where the site's activations stay floats in every layer.
    std::array<const kernels::QuantisedRows*, format::kSiteKinds> codes{};

    SiteScratch scratch(format::SiteKind kind) const { return {first, second, codes[static_cast<size_t>(kind)], arrivals}; }
};

/// The rows of this pass.
struct Span {
    uint32_t rows = 0;
    uint32_t position = 0;  ///< of row 0 in the context
};

/// The first `rows` rows of a view of rows of `width` floats.
inline vk::BufferView rowsOf(const vk::BufferView& view, uint32_t rows, uint32_t width) {
    return view.part(0, uint64_t{rows} * width * sizeof(float));
}

}  // namespace vulcat::layers
