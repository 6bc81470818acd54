// Quantises rows of activations, a scale a row: the shader twin of format::quantiseRow.
//
//     a8             amax = max|x|, scale = amax * (1/127), code = clamp(roundEven(x * (127/amax)), -127, 127)
//     a4 symmetric   amax = max|x|, scale = amax * (1/7),   code = clamp(roundEven(x * (7/amax)), -8, 7)
//     a4 asymmetric  lo = min(0, min x), hi = max(0, max x), inv = 15/(hi - lo), scale = (hi - lo) * (1/15),
//                    zero = roundEven(-lo * inv),           code = clamp(roundEven(x * inv) + zero, 0, 15)
//
// Buffers   0 x     float [M][K]
//           1 rows  [M] of {scale bits, zero, sum of codes, 0} and Kp / 4 words of four int8 codes, padding 0
// Mapping   one workgroup a row; invocations walk the row side by side, then reduce through shared memory.
// TEXEL     x is a texel buffer, see lib/rows4.glsl.
// Exact     but for the one division a row, which Vulkan rounds within 2.5 ULP: a code may differ from the CPU's where
//           x lies that close to a tie.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/quantise_rows.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint FORMAT = kFormatA8;
const uint LANES = gl_WorkGroupSize.x;

layout(push_constant) uniform Push { QuantiseRowsPush push; };
layout(constant_id = 2) const bool WIDE = true;  // K is a multiple of 4
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
layout(set = 0, binding = 1, std430) writeonly buffer Rows { uint rows[]; };

shared vec2 ranges[LANES];
shared int codeSums[LANES];

#include "lib/quantiser.glsl"

// {min(0, x), max(0, x)} of the row.
vec2 rowRange(uint row) {
    const uint lane = gl_LocalInvocationID.x;
    vec2 range = vec2(0);
    for (uint i = lane; 4 * i < push.inputs; i += LANES) {
        const vec4 v = LOAD4(x, row * push.inputs, i, push.inputs);
        range.x = min(min(min(range.x, v.x), min(v.y, v.z)), v.w);
        range.y = max(max(max(range.y, v.x), max(v.y, v.z)), v.w);
    }
    ranges[lane] = range;
    barrier();
    // Every invocation reduces for itself: fewer barriers than a tree, and they are what a CPU pays for.
    for (uint i = 0; i < LANES; ++i) range = vec2(min(range.x, ranges[i].x), max(range.y, ranges[i].y));
    return range;
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint row = push.firstRow + gl_WorkGroupID.x;
    const uint words = (push.inputs + 31) / 32 * 8;
    const uint header = row * (4 + words);
    float scale;
    const Quantiser quantiser = quantiserOf(rowRange(row), scale);

    int sum = 0;
    for (uint i = lane; i < words; i += LANES) {
        uint word = 0;
        if (4 * i < push.inputs) {
            const vec4 v = LOAD4(x, row * push.inputs, i, push.inputs);
            [[unroll]] for (uint j = 0; j < 4; ++j) {
                const int code = WIDE || 4 * i + j < push.inputs ? quantise(quantiser, v[j]) : 0;
                sum += code;
                word |= (uint(code) & 0xFFu) << (8 * j);
            }
        }
        rows[header + 4 + i] = word;
    }
    codeSums[lane] = sum;
    barrier();
    if (lane != 0) return;
    sum = 0;
    for (uint i = 0; i < LANES; ++i) sum += codeSums[i];
    rows[header] = floatBitsToUint(scale);
    rows[header + 1] = uint(quantiser.zero);
    rows[header + 2] = uint(sum);
    rows[header + 3] = 0;
}
