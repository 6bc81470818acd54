#version 450
// y[(o m + i) s + r] = sum_j C[i][j] x[(o m + j) s + r], C [m, m], width = outer m s.
//
// Buffers   0 x [M, K], 1 matrix vec4 [m][ceil(m/8)*2]: C transposed, i padded with zeros to 8; 2 y [M, K]; float32.
// Mapping   lane = (o, r), WorkGroupID.x over those; y: TILE_M rows; z: 8 consecutive i. A matrix element is read at an
//           address that the whole workgroup shares, and serves TILE_M rows.
// TEXEL     x and matrix are texel buffers, see lib/rows4.glsl.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_M = 4;  // 1 to 4

const bool WIDE = true;  // the matrix is padded; of x single elements are read
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
READ_ROWS(1, Matrix, matrix)
layout(set = 0, binding = 2, std430) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Push { MixDensePush push; };

void main() {
    const uint p = gl_GlobalInvocationID.x;
    if (p >= push.width / push.order) return;
    const uint column = p / push.stride * push.order * push.stride + p % push.stride;
    const uint i0 = gl_WorkGroupID.z * 8;
    const uint quads = (push.order + 7) / 8 * 2;
    for (uint row0 = gl_WorkGroupID.y * TILE_M; row0 < push.rows; row0 += push.groupsY * TILE_M) {
        vec4 low[4];
        vec4 high[4];
        [[unroll]] for (uint m = 0; m < 4; ++m) low[m] = high[m] = vec4(0);
        for (uint j = 0; j < push.order; ++j) {
            const vec4 a = LOAD4(matrix, 0, j * quads + i0 / 4, 4 * quads * push.order);
            const vec4 b = LOAD4(matrix, 0, j * quads + i0 / 4 + 1, 4 * quads * push.order);
            [[unroll]] for (uint m = 0; m < 4; ++m) {
                if (m < TILE_M) {
                    const uint row = min(row0 + m, push.rows - 1);
                    const float v = LOAD1(x, row * push.width + column + j * push.stride);
                    low[m] += a * v;
                    high[m] += b * v;
                }
            }
        }
        [[unroll]] for (uint m = 0; m < 4; ++m) {
            if (m >= TILE_M || row0 + m >= push.rows) continue;
            const uint to = (row0 + m) * push.width + column;
            [[unroll]] for (uint i = 0; i < 8; ++i) {
                if (i0 + i < push.order) y[to + (i0 + i) * push.stride] = i < 4 ? low[m][i & 3] : high[m][i & 3];
            }
        }
    }
}
