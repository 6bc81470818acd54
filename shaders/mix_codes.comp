// Mix and quantiser of a site in one dispatch: mix_dense, mix_hadamard and quantise_rows one after the other, for drivers
// where loads at addresses that all lanes share are nearly free and stores are dear (see integer_linear_address.comp).
//
// Buffers   0 x [M, K] float32 and 1 matrix as in mix_dense.comp: read at their addresses; 2 rows as in quantise_rows.comp
// Mapping   a workgroup a row. Lanes are neighbours of a row; a tile is what one Hadamard needs of TILE outputs of the dense
//           mix, POWER * TILE vectors in registers.
// Twice     The row's range must be known before its codes, so every tile is computed twice. To store it and read it again
//           would cost more: llvmpipe's store of a vector takes as long as some 80 of its products.
// Loops     see lib/tile_codes.glsl.
// Rounding  products and sums of the dense mix are fused, j ascending; the rest as in the single kernels.
// Requires  subgroups of LANES = 8 to 64, a power of two; STRIDE a multiple of 4 LANES; TILE <= CORE
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "interface/quantise_rows.h"
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WIDTH = 4096;  // K
layout(constant_id = 2) const uint CORE = 1;      // order of the dense mix
layout(constant_id = 3) const uint STRIDE = 64;   // of the dense mix
layout(constant_id = 4) const uint POWER = 64;    // order of the Hadamard mix
layout(constant_id = 5) const uint TILE = 1;
layout(constant_id = 6) const uint FORMAT = kFormatA8;
const uint LANES = gl_WorkGroupSize.x;
const uint PADDED = (CORE + 7) / 8 * 8;  // a row of the matrix

layout(push_constant) uniform Push { MixCodesPush push; };
layout(set = 0, binding = 2, std430) writeonly buffer Rows { uint rows[]; };

#include "lib/address_units.glsl"
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float at[]; };

uint lane;
uvec2 rowAt;
uvec2 matrixAt;

#include "lib/quantiser.glsl"
// Elements first .. first + LANES - 1 from `at` on, one a lane; `first` is a multiple of 4.
float rowValue(uvec2 at, uint first) {
    float value = 0;
    [[unroll]] for (uint l = 0; l < LANES; l += 4) {
        const vec4 four = Quads(at).at[(first + l) / 4];
        [[unroll]] for (uint e = 0; e < 4; ++e) value = gl_SubgroupInvocationID == l + e ? four[e] : value;
    }
    return value;
}
#define MIX_SCALE push.scale
#include "lib/tile_codes.glsl"

void main() {
    lane = gl_SubgroupInvocationID;
    const uint row = push.firstRow + gl_WorkGroupID.x;
    matrixAt = uvec2(push.matrixLow, push.matrixHigh);
    rowAt = advance(uvec2(push.inputsLow, push.inputsHigh), row * WIDTH * 4);
    writeTileCodes(row);
}
