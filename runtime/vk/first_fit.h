#pragma once
// How an arena places views in its blocks, apart from any memory, so that a plan can be made without it.

#include <cstddef>
#include <cstdint>
#include <span>

namespace vulcat::vk {

/// The first block with room for `padded` bytes behind what is taken of it, or blocks.size(): what a large view leaves
/// of a block is used by smaller ones that come later. sizes(i) is the size of block i.
template <class Sizes>
size_t firstFit(std::span<const uint64_t> taken, uint64_t padded, const Sizes& sizes) {
    size_t at = 0;
    while (at < taken.size() && padded > sizes(at) - taken[at]) ++at;
    return at;
}

}  // namespace vulcat::vk
