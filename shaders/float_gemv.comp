// y = W x + b with float activations, a row of x at a time, for devices with many more subgroups to keep busy than y has
// weight tiles: GPUs (see runtime/kernels/float_linear.h; on CPUs float_linear.comp is faster).
//
//     y[m,n] = sum_g s[n,g] * (sum_{k in g} float(w[n,k]) x[m,k]) + b[n]  (+ y[m,n])
//
// Buffers   those of float_linear.comp, weights and parameters in the order of lanes
// Mapping   a workgroup owns TILE_N weight tiles, an invocation row `lane` of each. SPLITS teams of LANES invocations
//           share K in whole rounds, and the first team adds the others' results from shared memory. Workgroup x walks
//           the weight tiles, y the rows of x. Nothing depends on what a subgroup is.
// SCALARS   but here, where LANES is the subgroup size: a team is a subgroup and says so, see integer_linear_dot.comp.
// Rounds    ROUND blocks of 32 inputs, whose weights and scales are all loaded before the first is used: that many
//           16-byte loads of an invocation overlap. Past K the last block is read and multiplied by zeros.
// x         read where it is used, at addresses that a team shares: the caches hold it, and handing it round by shuffles
//           would cost as much as the multiply-adds themselves.
// Codes     become floats by way of a mantissa, exactly: a GPU converts integers more slowly than it adds floats.
// Rounding  float32, in a fixed order: in a team k ascending in each group and groups ascending, then teams ascending.
//           One scale a row is applied to the sum of all.
// Requires  GROUP_BLOCKS divides ROUND.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SCALARS
#extension GL_KHR_shader_subgroup_basic : require
#endif

#include "interface/float_linear.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint SPLITS = 1;
layout(constant_id = 2) const uint TILE_N = 1;
layout(constant_id = 3) const uint ROUND = 1;
layout(constant_id = 4) const uint GROUP_BLOCKS = 0;  // blocks of a scale group; 0: no groups, or one
layout(constant_id = 5) const uint FORMAT = 0;        // 0 F32, 1 F16, 2 BF16, 3 Int4, 4 Int8
layout(constant_id = 6) const bool WIDE = true;       // K is a multiple of 4
layout(constant_id = 7) const bool WHOLE = false;     // K is a multiple of 32 ROUND
const uint LANES = gl_WorkGroupSize.x / SPLITS;
const uint UNITS_OF_BLOCK = FORMAT == 0 ? 8 : FORMAT == 3 ? 1 : FORMAT == 4 ? 2 : 4;
const uint GROUPS_OF_ROUND = GROUP_BLOCKS == 0 ? 1 : ROUND / GROUP_BLOCKS;

layout(push_constant) uniform Push { FloatLinearPush push; };

#include "lib/float_words.glsl"
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
layout(set = 0, binding = 1, std430) readonly buffer Weights { uvec4 weights[]; };
layout(set = 0, binding = 2, std430) readonly buffer Parameters { uvec4 parameters[]; };
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };

shared float shares[SPLITS > 1 ? SPLITS * TILE_N * LANES : 1];

uint lane;
uint row;
uint tile[TILE_N];
uvec4 units[TILE_N * ROUND * UNITS_OF_BLOCK];  // of a round
float scales[TILE_N * GROUPS_OF_ROUND];
float sums[TILE_N];     // of a group
float results[TILE_N];

// Elements 4 quad .. 4 quad + 3 of x, zero past K.
vec4 activations(uint quad) {
    if (WIDE && !WHOLE && 4 * quad >= push.inputs) return vec4(0);
    return LOAD4(x, row * push.inputs, quad, push.inputs);
}

// Scale of a group, or bias for group == push.groups.
float parameter(uint n, uint group) {
    const uvec4 both = parameters[(tile[n] / 2 * (push.groups + 1) + group) * LANES + lane];
    return uintBitsToFloat(tile[n] % 2 == 0 ? both.x : both.z);
}

void loadRound(uint block) {
    [[unroll]] for (uint u = 0; u < ROUND; ++u) {
        const uint at = WHOLE ? block + u : min(block + u, push.blocks - 1);
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            [[unroll]] for (uint i = 0; i < UNITS_OF_BLOCK; ++i) {
                units[(n * ROUND + u) * UNITS_OF_BLOCK + i] =
                    weights[((tile[n] * push.blocks + at) * UNITS_OF_BLOCK + i) * LANES + lane];
            }
        }
    }
    if (GROUP_BLOCKS == 0) return;
    [[unroll]] for (uint g = 0; g < GROUPS_OF_ROUND; ++g) {
        const uint group = min(block / GROUP_BLOCKS + g, push.groups - 1);
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) scales[n * GROUPS_OF_ROUND + g] = parameter(n, group);
    }
}

// Unsigned numbers of the words' low bits or, `shift` bits up, of their second byte, less `zero`. Below a leading bit of
// 2^(23 - shift) they are the last bits of the mantissa's integer part.
vec4 numbers(uvec4 words, uint mask, uint shift, float zero) {
    const uvec4 masks = uvec4(mask, mask << 8, mask, mask << 8) << shift;
    const vec4 leading = vec4(8388608.0, 32768.0, 8388608.0, 32768.0) / float(1u << shift);
    return uintBitsToFloat((words & masks) | floatBitsToUint(leading)) - (leading + zero);
}

// Elements 8 part .. 8 part + 7 of the block whose first unit is units[first].
void weightEight(uint first, uint part, out vec4 low, out vec4 high) {
    if (FORMAT == 0) {
        low = uintBitsToFloat(units[first + 2 * part]);
        high = uintBitsToFloat(units[first + 2 * part + 1]);
    } else if (FORMAT == 3) {
        const uint w = units[first][part];  // nibbles q + 8 in the order K 2 6 3 7 0 4 1 5 from the low end
        const uvec4 words = uvec4(w >> 16, w >> 16, w, w);
        low = numbers(words, 0xFu, 0, 8);
        high = numbers(words, 0xFu, 4, 8);
    } else if (FORMAT == 4) {
        const uvec4 unit = units[first + part / 2] ^ 0x80808080u;
        const uint a = unit[part % 2 * 2], b = unit[part % 2 * 2 + 1];
        low = numbers(uvec4(a, a, a >> 16, a >> 16), 0xFFu, 0, 128);
        high = numbers(uvec4(b, b, b >> 16, b >> 16), 0xFFu, 0, 128);
    } else {
        const uvec4 unit = units[first + part];
        low = fourHalves(unit.xy, FORMAT);
        high = fourHalves(unit.zw, FORMAT);
    }
}

void multiplyBlock(uint block, uint u) {
    [[unroll]] for (uint part = 0; part < 4; ++part) {
        const vec4 a = activations(8 * (block + u) + 2 * part);
        const vec4 b = activations(8 * (block + u) + 2 * part + 1);
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            vec4 low, high;
            weightEight((n * ROUND + u) * UNITS_OF_BLOCK, part, low, high);
            float sum = sums[n];
            sum += a.x * low.x;
            sum += a.y * low.y;
            sum += a.z * low.z;
            sum += a.w * low.w;
            sum += b.x * high.x;
            sum += b.y * high.y;
            sum += b.z * high.z;
            sum += b.w * high.w;
            sums[n] = sum;
        }
    }
}

void multiplyRound(uint block) {
    [[unroll]] for (uint u = 0; u < ROUND; ++u) {
        multiplyBlock(block, u);
        if (GROUP_BLOCKS == 0 || (u + 1) % GROUP_BLOCKS != 0) continue;
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            results[n] += sums[n] * scales[n * GROUPS_OF_ROUND + u / GROUP_BLOCKS];
            sums[n] = 0;
        }
    }
}

// The results of all teams, in the first of them.
void addShares(uint team) {
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) shares[(team * TILE_N + n) * LANES + lane] = results[n];
    barrier();
    if (team != 0) return;
    for (uint other = 1; other < SPLITS; ++other) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) results[n] += shares[(other * TILE_N + n) * LANES + lane];
    }
}

void main() {
#ifdef SCALARS
    const uint team = gl_SubgroupID;
    lane = gl_SubgroupInvocationID;
#else
    const uint team = gl_LocalInvocationID.x / LANES;
    lane = gl_LocalInvocationID.x % LANES;
#endif
    row = push.firstRow + gl_WorkGroupID.y;
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        tile[n] = min(gl_WorkGroupID.x * TILE_N + n, tiles - 1);
        sums[n] = 0;
        results[n] = 0;
    }

    const uint rounds = (push.blocks + ROUND - 1) / ROUND;
    const uint end = rounds * (team + 1) / SPLITS;
    for (uint round = rounds * team / SPLITS; round < end; ++round) {
        loadRound(round * ROUND);
        multiplyRound(round * ROUND);
    }
    if (GROUP_BLOCKS == 0) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) results[n] = sums[n];
    }
    if (SPLITS > 1) {
        addShares(team);
        if (team != 0) return;
    }

    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        const uint column = (gl_WorkGroupID.x * TILE_N + n) * LANES + lane;
        if (column >= push.panelRows) continue;
        const uint index = row * push.outputs + push.firstOutput + column;
        float value = results[n];
        if (FORMAT >= 3 && GROUP_BLOCKS == 0) value *= parameter(n, 0);
        value += parameter(n, push.groups);
        if (push.accumulate != 0) value += y[index];
        y[index] = value;
    }
}
