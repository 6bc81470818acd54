#version 450
// One pass of a Walsh-Hadamard transform: RADIX elements that lie `stride` apart, in registers.
//   y[(o R + i) s + r] = scale * sum_j (-1)^popcount(i & j) x[(o R + j) s + r],  R = RADIX, width = outer R s.
//
// Buffers   0 x, 1 y [M, K] float32; y may be x, since an invocation reads all it writes before it writes.
// Mapping   grid-stride: x over the K / RADIX groups of a row, y over rows.
// TEXEL     x is a texel buffer, see lib/rows4.glsl; y must then be other memory.
// At most 16 live floats: longer unrolled networks take llvmpipe seconds to compile.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint RADIX = 16;  // 2, 4, 8 or 16

const bool WIDE = true;  // lib/rows4.glsl is used for single elements only
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
layout(set = 0, binding = 1, std430) buffer Y { float y[]; };
layout(push_constant) uniform Push { MixHadamardPush push; };

#define STAGE(h)                                                                                                       \
    [[unroll]] for (uint i = 0; i < 16; ++i) {                                                                         \
        if ((i & h) == 0 && i < RADIX) {                                                                               \
            float a = v[i];                                                                                            \
            float b = v[i | h];                                                                                        \
            v[i] = a + b;                                                                                              \
            v[i | h] = a - b;                                                                                          \
        }                                                                                                              \
    }

void main() {
    const uint stride = push.stride;
    for (uint row = gl_WorkGroupID.y; row < push.rows; row += gl_NumWorkGroups.y) {
        for (uint p = gl_GlobalInvocationID.x; p < push.width / RADIX; p += gl_NumWorkGroups.x * gl_WorkGroupSize.x) {
            const uint base = row * push.width + p / stride * RADIX * stride + p % stride;
            float v[16];
            [[unroll]] for (uint i = 0; i < 16; ++i) v[i] = i < RADIX ? LOAD1(x, base + i * stride) : 0.0;
            STAGE(1)
            if (RADIX > 2) {
                STAGE(2)
            }
            if (RADIX > 4) {
                STAGE(4)
            }
            if (RADIX > 8) {
                STAGE(8)
            }
            [[unroll]] for (uint i = 0; i < 16; ++i) {
                if (i < RADIX) y[base + i * stride] = v[i] * push.scale;
            }
        }
    }
}
