#version 450
// One pass of a Walsh-Hadamard transform: RADIX elements that lie `stride` apart, in registers.
//   y[(o R + i) s + r] = scale * sum_j (-1)^popcount(i & j) x[(o R + j) s + r],  R = RADIX, width = outer R s.
//
// Buffers   0 x, 1 y [M, K] float32; y may be x, since an invocation reads all it writes before it writes.
// Mapping   grid-stride: x over the K / RADIX groups of a row, y over rows.
// TEXEL     x is a texel buffer, see lib/rows4.glsl; y must then be other memory.
// QUADS     an invocation takes four neighbours at once: a quarter of the loads and stores.
// At most 16 live floats or 8 live vec4: longer unrolled networks take llvmpipe seconds to compile.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint RADIX = 16;     // 2, 4, 8 or 16; at most 8 with QUADS
layout(constant_id = 2) const bool QUADS = false;  // stride and K are multiples of 4: four neighbours at once

const bool WIDE = true;  // what lib/rows4.glsl reads is single elements, or whole vec4s
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
ROWS(1, Y, y)
layout(push_constant) uniform Push { MixHadamardPush push; };

#define STAGE(h, LIMIT)                                                                                                \
    [[unroll]] for (uint i = 0; i < LIMIT; ++i) {                                                                      \
        if ((i & h) == 0 && i < RADIX) {                                                                               \
            const Value a = v[i];                                                                                      \
            const Value b = v[i | h];                                                                                  \
            v[i] = a + b;                                                                                              \
            v[i | h] = a - b;                                                                                          \
        }                                                                                                              \
    }

#define Value float
void transform(uint base, uint stride) {
    float v[16];
    [[unroll]] for (uint i = 0; i < 16; ++i) v[i] = i < RADIX ? LOAD1(x, base + i * stride) : 0.0;
    STAGE(1, 16)
    if (RADIX > 2) {
        STAGE(2, 16)
    }
    if (RADIX > 4) {
        STAGE(4, 16)
    }
    if (RADIX > 8) {
        STAGE(8, 16)
    }
    [[unroll]] for (uint i = 0; i < 16; ++i) {
        if (i < RADIX) y[base + i * stride] = v[i] * push.scale;
    }
}
#undef Value

#define Value vec4
void transformQuads(uint base, uint stride) {
    vec4 v[8];
    [[unroll]] for (uint i = 0; i < 8; ++i) v[i] = i < RADIX ? LOADWIDE(x, base + i * stride, 0) : vec4(0);
    STAGE(1, 8)
    if (RADIX > 2) {
        STAGE(2, 8)
    }
    if (RADIX > 4) {
        STAGE(4, 8)
    }
    [[unroll]] for (uint i = 0; i < 8; ++i) {
        if (i < RADIX) y4[(base + i * stride) / 4] = v[i] * push.scale;
    }
}
#undef Value

void main() {
    const uint step = QUADS ? 4 : 1;
    const uint stride = push.stride / step;
    const uint count = push.width / (RADIX * step);
    for (uint row = gl_WorkGroupID.y; row < push.rows; row += push.groupsY) {
        for (uint p = gl_GlobalInvocationID.x; p < count; p += push.groupsX * gl_WorkGroupSize.x) {
            const uint base = row * push.width + (p / stride * RADIX * stride + p % stride) * step;
            if (QUADS) {
                transformQuads(base, push.stride);
            } else {
                transform(base, push.stride);
            }
        }
    }
}
