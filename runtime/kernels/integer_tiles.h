#pragma once
// The tiles an integer linear (integer_linear.h) can run with on a device: each a pipeline, how many rows of x and of W it
// takes at once, and what a pass of it costs. This is where sizes are chosen for a device.

#include "kernels/linear_weights.h"
#include "kernels/tuning.h"
#include "vk/device.h"
#include "vk/pipeline_library.h"

#include <cstdint>
#include <string>
#include <vector>

namespace vulcat::kernels {

struct IntegerTile {
    LinearTile tile;        ///< its costs are the table's, which compare only with tiles that are usual
    uint32_t columns = 0;   ///< of y a workgroup computes
    bool texel = false;     ///< reads through texel buffers
    bool usual = false;     ///< taken where nothing was tuned
    std::string module;     ///< of the shader table
    vk::PipelineSpec spec;  ///< but for the name of its module
};

/// All tiles of use on the device within `allowed`, the lowest tier first. `maxRows` and `splits` as for IntegerLinear.
std::vector<IntegerTile> integerTiles(const vk::Device& device, const vk::CapabilitySet& allowed, const LinearSize& size,
                                      uint32_t maxRows, uint32_t splits);

/// Weight tiles of a workgroup of all modules but the dot product's and matrices, see shaders/int.cmake.
inline constexpr uint32_t kTilesOfGroup = 4;

/// Constants of integer_linear_address.comp for tiles of `rows` rows.
std::vector<uint32_t> addressConstants(const LinearShape& shape, uint32_t lanes, uint32_t rows);

/// Blocks of 32 inputs in a row, and in a group of scales.
uint32_t blocksOf(const LinearShape& shape);
uint32_t groupBlocksOf(const LinearShape& shape);

}  // namespace vulcat::kernels
