#version 450
// RMSNorm: y[m,k] = x[m,k] / sqrt(mean_k x[m,k]^2 + epsilon) * gamma[k].
//
// Buffers   0 x [M, K], 1 gamma [K], 2 y [M, K]; float32.
// Mapping   a workgroup takes rows WorkGroupID.x, + groupsX, ...; its lanes take every LANES-th vec4.
// Rounding  squares summed in float32, lanes first, then across lanes in lane order: the same on every driver but for
//           the rounding of the division and square root.
#extension GL_GOOGLE_include_directive : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool WIDE = true;  // K is a multiple of 4

#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
READ_ROWS(1, Gamma, gamma)
ROWS(2, Y, y)
layout(push_constant) uniform Push { RmsNormPush push; };

shared float partial[gl_WorkGroupSize.x];

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint width = push.width;
    const uint quads = (width + 3) / 4;
    for (uint row = gl_WorkGroupID.x; row < push.rows; row += push.groupsX) {
        const uint base = row * width;
        vec4 squares = vec4(0);
        for (uint i = lane; i < quads; i += gl_WorkGroupSize.x) {
            vec4 v = LOAD4(x, base, i, width);
            squares += v * v;
        }
        partial[lane] = (squares.x + squares.y) + (squares.z + squares.w);
        barrier();
        float sum = 0;
        for (uint l = 0; l < gl_WorkGroupSize.x; ++l) sum += partial[l];
        barrier();  // the next row overwrites `partial`
        const float factor = 1.0 / sqrt(sum / float(width) + push.epsilon);
        for (uint i = lane; i < quads; i += gl_WorkGroupSize.x) {
            vec4 v = LOAD4(x, base, i, width) * factor * LOAD4(gamma, 0, i, width);
            STORE4(y, base, i, width, v)
        }
    }
}
