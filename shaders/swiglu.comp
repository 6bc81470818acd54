#version 450
// y[m,f] = silu(gate[m,f]) * up[m,f], silu(g) = g / (1 + exp(-g)).
//
// Buffers   0 gateUp [M, 2F]: a row's gates, then its ups; 1 y [M, F]; float32.
// Mapping   grid-stride: x over the vec4s of a row, y over rows.
#extension GL_GOOGLE_include_directive : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool WIDE = true;  // F is a multiple of 4

#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
ROWS(1, Y, y)
layout(push_constant) uniform Push { SwiGluPush push; };

#include "lib/exp.glsl"

void main() {
    const uint width = push.width;
    const uint quads = (width + 3) / 4;
    for (uint row = gl_WorkGroupID.y; row < push.rows; row += push.groupsY) {
        for (uint i = gl_GlobalInvocationID.x; i < quads; i += push.groupsX * gl_WorkGroupSize.x) {
            vec4 gate = LOAD4(x, row * 2 * width, i, width);
            vec4 up = LOAD4(x, row * 2 * width + width, i, width);
            vec4 e = vec4(expAccurate(-gate.x), expAccurate(-gate.y), expAccurate(-gate.z), expAccurate(-gate.w));
            vec4 v = gate / (1.0 + e) * up;
            STORE4(y, row * width, i, width, v)
        }
    }
}
