#version 450
// y[(o m + i) s + r] = sum_j C[i][j] x[(o m + j) s + r], C [m, m], width = outer m s.
//
// Buffers   0 x [M, K], 1 matrix vec4 [m][ceil(m/8)*2]: C transposed, i padded with zeros to 8; 2 y [M, K]; float32.
// Mapping   WorkGroupID.z: 8 consecutive i; a matrix element is read at an address that the whole workgroup shares.
//           QUADS: a lane owns four neighbours (o, r .. r+3) of one row, x over those, y over rows.
//           Else:  a lane owns one (o, r) of TILE_M rows, which share each matrix element.
// TEXEL     x and matrix are texel buffers, see lib/rows4.glsl.
// Loops over i and rows are written out by the preprocessor: SwiftShader unrolls none, and arrays that are indexed by
// their counters would lie in memory.
#extension GL_GOOGLE_include_directive : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_M = 4;     // 1 or 4
layout(constant_id = 2) const bool QUADS = false;  // s is a multiple of 4

const bool WIDE = true;  // the matrix is padded; of x single elements or whole vec4s are read
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
READ_ROWS(1, Matrix, matrix)
ROWS(2, Y, y)
layout(push_constant) uniform Push { MixDensePush push; };

#define EACH_OUTPUT(DO) DO(0, a.x) DO(1, a.y) DO(2, a.z) DO(3, a.w) DO(4, b.x) DO(5, b.y) DO(6, b.z) DO(7, b.w)

void mixQuads(uint p, uint i0, uint quads) {
    const uint perGroup = push.stride / 4;
    const uint column = p / perGroup * push.order * push.stride + p % perGroup * 4;
    for (uint row = gl_WorkGroupID.y; row < push.rows; row += push.groupsY) {
        const uint base = row * push.width + column;
#define CLEAR(i, factor) vec4 sum##i = vec4(0);
        EACH_OUTPUT(CLEAR)
        for (uint j = 0; j < push.order; ++j) {
            const vec4 a = LOADWIDE(matrix, 0, j * quads + i0 / 4);
            const vec4 b = LOADWIDE(matrix, 0, j * quads + i0 / 4 + 1);
            const vec4 v = LOADWIDE(x, base + j * push.stride, 0);
#define ADD(i, factor) sum##i += factor * v;
            EACH_OUTPUT(ADD)
        }
#define STORE(i, factor) if (i0 + i < push.order) y4[(base + (i0 + i) * push.stride) / 4] = sum##i;
        EACH_OUTPUT(STORE)
    }
}

#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3)

void mixRows(uint p, uint i0, uint quads) {
    const uint column = p / push.stride * push.order * push.stride + p % push.stride;
    for (uint row0 = gl_WorkGroupID.y * TILE_M; row0 < push.rows; row0 += push.groupsY * TILE_M) {
#define CLEAR_ROW(m) vec4 low##m = vec4(0); vec4 high##m = vec4(0);
        EACH_ROW(CLEAR_ROW)
        for (uint j = 0; j < push.order; ++j) {
            const vec4 a = LOADWIDE(matrix, 0, j * quads + i0 / 4);
            const vec4 b = LOADWIDE(matrix, 0, j * quads + i0 / 4 + 1);
#define ADD_ROW(m)                                                                                          \
    if (m < TILE_M) {                                                                                       \
        const float v = LOAD1(x, min(row0 + m, push.rows - 1) * push.width + column + j * push.stride);     \
        low##m += a * v;                                                                                    \
        high##m += b * v;                                                                                   \
    }
            EACH_ROW(ADD_ROW)
        }
#define STORE_OUTPUT(i, value) if (i0 + i < push.order) y[to + (i0 + i) * push.stride] = value;
#define STORE_ROW(m)                                                        \
    if (m < TILE_M && row0 + m < push.rows) {                               \
        const uint to = (row0 + m) * push.width + column;                   \
        const vec4 a = low##m;                                              \
        const vec4 b = high##m;                                             \
        EACH_OUTPUT(STORE_OUTPUT)                                           \
    }
        EACH_ROW(STORE_ROW)
    }
}

void main() {
    const uint p = gl_GlobalInvocationID.x;
    if (p >= push.width / push.order / (QUADS ? 4 : 1)) return;
    const uint i0 = gl_WorkGroupID.z * 8;
    const uint quads = (push.order + 7) / 8 * 2;
    if (QUADS) {
        mixQuads(p, i0, quads);
    } else {
        mixRows(p, i0, quads);
    }
}
