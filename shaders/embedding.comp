#version 450
// y[m] = W[ids[m]] for the ids that this panel holds; other rows of y are left alone.
//
// Buffers   0 codes uvec4 [tiles][units][LANES]: the panel of a float matrix (kernels/linear_weights.h);
//           1 ids [M] uint; 2 y [M, K] float32.
// Mapping   a workgroup takes every groupsX-th row; its lanes take every local-size-th unit.
// Exact, since widening to float32 is; but a device may flush fp16 subnormals (below 6.1e-5) to zero.
#extension GL_GOOGLE_include_directive : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool WIDE = true;  // K is a multiple of 4
layout(constant_id = 2) const uint FORMAT = 0;   // 0 F32, 1 F16, 2 BF16
layout(constant_id = 3) const uint TILE = 8;     // rows of a weight tile
layout(constant_id = 4) const bool WORDS = false;  // the table lies in the order of words

layout(set = 0, binding = 0, std430) readonly buffer Codes { uvec4 codes[]; };
layout(set = 0, binding = 0, std430) readonly buffer CodeWords { uint codeWords[]; };
layout(set = 0, binding = 1, std430) readonly buffer Ids { uint ids[]; };
#include "lib/rows4.glsl"
ROWS(2, Y, y)
layout(push_constant) uniform Push { EmbeddingPush push; };

#include "lib/float_words.glsl"

// Unit `unit` of row `row` of a tile whose first unit is `first`.
uvec4 unitOf(uint first, uint unit, uint row) {
    if (!WORDS) return codes[first + unit * TILE + row];
    const uint at = (first + unit * TILE) * 4 + row;
    return uvec4(codeWords[at], codeWords[at + TILE], codeWords[at + 2 * TILE], codeWords[at + 3 * TILE]);
}

void main() {
    const uint width = push.width;
    const uint quads = (width + 3) / 4;
    for (uint row = gl_WorkGroupID.x; row < push.rows; row += push.groupsX) {
        const uint id = ids[row] - push.rowBegin;  // wraps to a large number below the panel
        if (id >= push.rowCount) continue;
        const uint base = id / TILE * push.units * TILE;
        for (uint unit = gl_LocalInvocationID.x; unit < push.units; unit += gl_WorkGroupSize.x) {
            const uvec4 word = unitOf(base, unit, id % TILE);
            if (FORMAT == 0) {
                if (unit < quads) {
                    vec4 v = uintBitsToFloat(word);
                    STORE4(y, row * width, unit, width, v)
                }
            } else {
                vec4 low = fourHalves(word.xy, FORMAT);
                vec4 high = fourHalves(word.zw, FORMAT);
                if (2 * unit < quads) {
                    STORE4(y, row * width, 2 * unit, width, low)
                }
                if (2 * unit + 1 < quads) {
                    STORE4(y, row * width, 2 * unit + 1, width, high)
                }
            }
        }
    }
}
