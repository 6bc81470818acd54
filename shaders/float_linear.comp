// y = W x + b with float activations (see runtime/kernels/float_linear.h).
//
//     y[m,n] = sum_g s[n,g] * (sum_{k in g} float(w[n,k]) x[m,k]) + b[n]  (+ y[m,n])
//
// Buffers   0 x           float [M][K]
//           1 weights     uvec4 [tiles][units][LANES], see kernels/linear_weights.h
//           2 parameters  uvec4 [pairs of tiles][groups + 1][LANES]: {scale, -} of both tiles, last their {bias, 0}
//           3 y           float [M][outputs]
// Mapping   an invocation owns row `lane` of TILE_N weight tiles and TILE_M rows of x: TILE_M x TILE_N sums in
//           registers, no shared memory. Workgroup x walks the weight tiles, y the rows of x.
// K         groups, in a group blocks of 32 inputs, in a block 4 parts of 8.
// SUBGROUP  LANES is the subgroup size. The block's TILE_M x 8 vec4 of x are spread over the lanes and go round by
//           shuffles with constant sources: a load costs llvmpipe 30 times a shuffle.
// TEXEL     x and weights are texel buffers, see lib/rows4.glsl.
// ADDRESS   x, weights and parameters are read at addresses that all lanes share, see integer_linear_address.comp; weights and
//           parameters in the order of words. LANES is the subgroup size; WIDE must be true.
// Rounding  float32 products and sums (ADDRESS: fused), k ascending in each group.
// Requires  TILE_N is even.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if defined(ADDRESS)
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_basic : require
#elif defined(SUBGROUP)
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

#include "interface/float_linear.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_M = 1;
layout(constant_id = 2) const uint TILE_N = 2;
layout(constant_id = 3) const uint FORMAT = 0;   // 0 F32, 1 F16, 2 BF16, 3 Int4, 4 Int8
layout(constant_id = 4) const bool WIDE = true;  // K is a multiple of 4
#ifdef ADDRESS
layout(constant_id = 5) const bool WHOLE_BLOCKS = false;  // K is a multiple of 32
#endif
const uint LANES = gl_WorkGroupSize.x;

layout(push_constant) uniform Push { FloatLinearPush push; };

#ifdef ADDRESS
#include "lib/address_units.glsl"
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
// What reads this way computes with fused multiply-adds; elsewhere fma() may be a function of many operations.
#define MULTIPLY_ADD(a, b, sum) fma(a, b, sum)
vec4 inputQuad(uint index) { return Quads(uvec2(push.inputsLow, push.inputsHigh)).at[index]; }
uvec4 weightUnit(uint index) { return unitAt(advance(uvec2(push.weightsLow, push.weightsHigh), index * 16)); }
uvec4 parameterPair(uint index) { return unitAt(advance(uvec2(push.parametersLow, push.parametersHigh), index * 16)); }
#else
#define MULTIPLY_ADD(a, b, sum) ((sum) + (a) * (b))
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
layout(set = 0, binding = 2, std430) readonly buffer Parameters { uvec4 parameters[]; };
uvec4 parameterPair(uint index) { return parameters[index + gl_LocalInvocationID.x]; }
#ifdef TEXEL
layout(set = 0, binding = 1) uniform usamplerBuffer weights;
uvec4 weightUnit(uint index) { return texelFetch(weights, int(index)); }
#else
layout(set = 0, binding = 1, std430) readonly buffer Weights { uvec4 weights[]; };
uvec4 weightUnit(uint index) { return weights[index]; }
#endif
#endif
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };

#ifdef CODES
#include "lib/weights_codes.glsl"
#else
#include "lib/float_words.glsl"
#include "lib/weights_float.glsl"
#endif

uint lane;
uint firstRow;
uint firstUnit[TILE_N];  // the lane's first unit of each weight tile; ADDRESS: of all lanes
float sums[TILE_M * TILE_N];

#ifdef ADDRESS
// Without a branch, whose masks would cost more than the load: past K the last quad is read and dropped.
vec4 blockQuad(uint m, uint block, uint quad) {
    const uint at = block * 8 + quad, quads = push.inputs / 4;
    const uint row = min(firstRow + m, push.rows - 1) * quads;
    if (WHOLE_BLOCKS) return inputQuad(row + at);
    const vec4 values = inputQuad(row + min(at, quads - 1));
    return vec4(at < quads ? values.x : 0, at < quads ? values.y : 0, at < quads ? values.z : 0, at < quads ? values.w : 0);
}
void loadBlock(uint block) {}
#else
// Elements 4 quad .. 4 quad + 3 of row firstRow + m; zero past K, the last row again past M.
vec4 activations(uint m, uint quad) {
    const uint base = min(firstRow + m, push.rows - 1) * push.inputs;
    if (WIDE && 4 * quad >= push.inputs) return vec4(0);
    return LOAD4(x, base, quad, push.inputs);
}

#ifdef SUBGROUP
const uint HELD = (TILE_M * 8 + LANES - 1) / LANES;
vec4 held[HELD];  // vec4 e = m * 8 + quad of the block is held[e / LANES] of lane e % LANES

void loadBlock(uint block) {
    [[unroll]] for (uint i = 0; i < HELD; ++i) {
        const uint e = i * LANES + lane;
        held[i] = activations(e / 8, block * 8 + e % 8);
    }
}
vec4 blockQuad(uint m, uint block, uint quad) {
    const uint e = m * 8 + quad;
    return subgroupShuffle(held[e / LANES], e % LANES);
}
#else
void loadBlock(uint block) {}
vec4 blockQuad(uint m, uint block, uint quad) { return activations(m, block * 8 + quad); }
#endif
#endif

void multiplyBlock(uint block) {
#ifdef ADDRESS
    block = min(block, push.blocks - 1);  // see Loops in integer_linear_address.comp
#endif
    loadBlock(block);
    [[unroll]] for (uint part = 0; part < 4; ++part) {
        vec4 low[TILE_N];
        vec4 high[TILE_N];
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) weightEight(n, firstUnit[n], block, part, low[n], high[n]);
        [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
            const vec4 a = blockQuad(m, block, 2 * part);
            const vec4 b = blockQuad(m, block, 2 * part + 1);
            [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
                float sum = sums[m * TILE_N + n];
                sum = MULTIPLY_ADD(a.x, low[n].x, sum);
                sum = MULTIPLY_ADD(a.y, low[n].y, sum);
                sum = MULTIPLY_ADD(a.z, low[n].z, sum);
                sum = MULTIPLY_ADD(a.w, low[n].w, sum);
                sum = MULTIPLY_ADD(b.x, high[n].x, sum);
                sum = MULTIPLY_ADD(b.y, high[n].y, sum);
                sum = MULTIPLY_ADD(b.z, high[n].z, sum);
                sum = MULTIPLY_ADD(b.w, high[n].w, sum);
                sums[m * TILE_N + n] = sum;
            }
        }
    }
}

// Scale of a group, or bias for group == push.groups, for all tiles of the workgroup.
void loadParameters(uint group, out float values[TILE_N]) {
    const uint pairs = (push.panelRows + 2 * LANES - 1) / (2 * LANES);
    [[unroll]] for (uint n = 0; n < TILE_N; n += 2) {
        const uint pair = min((gl_WorkGroupID.x * TILE_N + n) / 2, pairs - 1);
        const uvec4 both = parameterPair((pair * (push.groups + 1) + group) * LANES);
        values[n] = uintBitsToFloat(both.x);
        values[n + 1] = uintBitsToFloat(both.z);
    }
}

void main() {
#ifdef ADDRESS
    lane = gl_SubgroupInvocationID;
#else
    lane = gl_LocalInvocationID.x;
#endif
    firstRow = push.firstRow + gl_WorkGroupID.y * TILE_M;
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        const uint tile = min(gl_WorkGroupID.x * TILE_N + n, tiles - 1);
        firstUnit[n] = tile * push.blocks * UNITS_OF_BLOCK * LANES;
#ifndef ADDRESS
        firstUnit[n] += lane;
#endif
    }
    [[unroll]] for (uint i = 0; i < TILE_M * TILE_N; ++i) sums[i] = 0;

    float values[TILE_N];
#ifdef CODES
    float results[TILE_M * TILE_N];
    [[unroll]] for (uint i = 0; i < TILE_M * TILE_N; ++i) results[i] = 0;
    for (uint group = 0; group < push.groups; ++group) {
        const uint end = min((group + 1) * push.groupBlocks, push.blocks);
        for (uint block = group * push.groupBlocks; block < end; ++block) multiplyBlock(block);
        loadParameters(group, values);
        [[unroll]] for (uint i = 0; i < TILE_M * TILE_N; ++i) {
            results[i] += sums[i] * values[i % TILE_N];
            sums[i] = 0;
        }
    }
    loadParameters(push.groups, values);
#define RESULT(i) results[i]
#else
    for (uint block = 0; block < push.blocks; ++block) multiplyBlock(block);
    loadParameters(0, values);
#define RESULT(i) sums[i]
#endif

    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            const uint column = (gl_WorkGroupID.x * TILE_N + n) * LANES + lane;
            if (firstRow + m >= push.rows || column >= push.panelRows) continue;
            const uint index = (firstRow + m) * push.outputs + push.firstOutput + column;
            float value = RESULT(m * TILE_N + n) + values[n];
            if (push.accumulate != 0) value += y[index];
            y[index] = value;
        }
    }
}
