// The input of a site in one dispatch, with blocks and tiles in registers: the arithmetic of site_codes.comp for drivers where
// loads at addresses that all lanes share are nearly free (see integer_linear_address.comp).
//
// Buffers   0 x float32 [M, K], for SwiGLU [M, 2K], read at its address; 1 floats, 2 blocks, 3 rows, 4 scratch as in
//           lib/site_row.glsl; 5 arrivals uint [M], see Teams
// Mapping   WorkGroupID.y is the row, x a team: it takes SHARE blocks of the row. Lanes are neighbours of a row.
// Teams     When a row has several, each counts itself in the row's arrivals when its blocks are written; the last one to come
//           does mix and codes, and sets the count back to 0. None waits for another. How many there are is asked of the
//           dispatch, which so never runs in parts: a count that waits for parts to come could be left behind
// Requires  as lib/site_row.glsl; one team a row without blocks
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
layout(constant_id = 1) const uint SHARE = 1;
const uint LANES = gl_WorkGroupSize.x;

layout(push_constant) uniform Push { SiteTilesPush push; };
layout(set = 0, binding = 3, std430) writeonly buffer Rows { uint rows[]; };
layout(set = 0, binding = 4, std430) coherent buffer Scratch { float scratch[]; };
layout(set = 0, binding = 5, std430) coherent buffer Arrivals { uint arrivals[]; };
uint lane;
#define SITE push.site
#define SITE_CONSTANTS 2
#include "lib/exp.glsl"
#include "lib/float_words.glsl"
#include "lib/address_units.glsl"
#include "lib/row_values.glsl"
#include "lib/site_row.glsl"
const uint PART = BLOCK == 0 ? WIDTH : SHARE * BLOCK;  // of a row, for a team
const bool ALONE = PART >= WIDTH;                      // a row has one team

// True for the workgroup that finds the blocks of the whole row written.
bool lastTeam(uint row) {
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
    if (ALONE) return true;
    memoryBarrierBuffer();
    uint before = 0;
    if (lane == 0) before = atomicAdd(arrivals[row], 1);
    memoryBarrierBuffer();
    return subgroupShuffle(before, 0) == gl_NumWorkGroups.x - 1;
}

void main() {
    lane = gl_SubgroupInvocationID;
    const uint row = push.firstRow + gl_WorkGroupID.y;
    const uint first = gl_WorkGroupID.x * PART;
    leavePart(row, first, min(first + PART, WIDTH));
    if (!lastTeam(row)) return;
    writeCodes(row);
    if (!ALONE && lane == 0) arrivals[row] = 0;
}
