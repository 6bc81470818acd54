// Mix and quantiser of a site in one dispatch: mix_dense, mix_hadamard and quantise_rows one after the other, for drivers
// where loads at addresses that all lanes share are nearly free and stores are dear (see integer_linear_address.comp).
//
// Buffers   0 x [M, K] float32 and 1 matrix as in mix_dense.comp: read at their addresses; 2 rows as in quantise_rows.comp
// Mapping   a workgroup a row. Lanes are neighbours of a row; a tile is what one Hadamard needs of TILE outputs of the dense
//           mix, POWER * TILE vectors in registers.
// Twice     The row's range must be known before its codes, so every tile is computed twice. To store it and read it again
//           would cost more: llvmpipe's store of a vector takes as long as some 80 of its products.
// Loops     end where they are tested, see Loops in integer_linear_address.comp.
// Rounding  products and sums of the dense mix are fused, j ascending; the rest as in the single kernels.
// Requires  subgroups of LANES = 8 to 64, a power of two; STRIDE a multiple of 4 LANES; TILE <= CORE
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "interface/quantise_rows.h"
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WIDTH = 4096;  // K
layout(constant_id = 2) const uint CORE = 1;      // order of the dense mix
layout(constant_id = 3) const uint STRIDE = 64;   // of the dense mix
layout(constant_id = 4) const uint POWER = 64;    // order of the Hadamard mix
layout(constant_id = 5) const uint TILE = 1;
layout(constant_id = 6) const uint FORMAT = kFormatA8;
const uint LANES = gl_WorkGroupSize.x;
const uint VECTORS = TILE * POWER;                           // of a tile: output i of Hadamard element o is i * POWER + o
const uint UNIT = CORE * STRIDE;                             // between elements of a Hadamard
const uint PADDED = (CORE + 7) / 8 * 8;                      // a row of the matrix
const uint TILES = (CORE + TILE - 1) / TILE;                 // the last one overlaps the one before
const uint GROUPS = WIDTH / (POWER * UNIT) * STRIDE / LANES;  // of LANES columns

layout(push_constant) uniform Push { MixCodesPush push; };
layout(set = 0, binding = 2, std430) writeonly buffer Rows { uint rows[]; };

#include "lib/address_units.glsl"
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float at[]; };

#include "lib/quantiser.glsl"

uint lane;
uvec2 rowAt;
float v[VECTORS];

// Elements first .. first + LANES - 1 from `at` on, one a lane; `first` is a multiple of 4.
float laneValue(uvec2 at, uint first) {
    float value = 0;
    [[unroll]] for (uint l = 0; l < LANES; l += 4) {
        const vec4 four = Quads(at).at[(first + l) / 4];
        [[unroll]] for (uint e = 0; e < 4; ++e) value = gl_SubgroupInvocationID == l + e ? four[e] : value;
    }
    return value;
}

void mixCore(uvec2 at, uint firstOutput) {
    const uvec2 matrix = advance(uvec2(push.matrixLow, push.matrixHigh), firstOutput * 4);
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) v[e] = 0;
    [[unroll]] for (uint j = 0; j < CORE; ++j) {
        float factors[TILE];
        [[unroll]] for (uint i = 0; i < TILE; ++i) {
            factors[i] = Floats(matrix).at[j * PADDED + i];
        }
        [[unroll]] for (uint o = 0; o < POWER; ++o) {
            const float value = laneValue(at, o * UNIT + j * STRIDE);
            [[unroll]] for (uint i = 0; i < TILE; ++i) v[i * POWER + o] = fma(factors[i], value, v[i * POWER + o]);
        }
    }
}

// The row's first column of group `group`.
uint columnOf(uint group) {
    const uint perUnit = STRIDE / LANES;
    return group / perUnit * (POWER * UNIT) + group % perUnit * LANES;
}
uint firstOutputOf(uint tile) { return min(tile * TILE, CORE - TILE); }

void mixTile(uint column, uint firstOutput) {
    const uvec2 at = advance(rowAt, column * 4);
    if (CORE > 1) {
        mixCore(at, firstOutput);
    } else {
        [[unroll]] for (uint o = 0; o < POWER; ++o) v[o] = laneValue(at, o * UNIT);
    }
    [[unroll]] for (uint h = 1; h < POWER; h *= 2) {
        [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
            if ((e & h) == 0) {
                const float a = v[e], b = v[e | h];
                v[e] = a + b;
                v[e | h] = a - b;
            }
        }
    }
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) v[e] *= push.scale;
}

// {min(0, x), max(0, x)} of the mixed row.
vec2 rowRange() {
    vec4 low = vec4(0);
    vec4 high = vec4(0);
    uint tile = 0;
    if (lane < LANES) do {
        mixTile(columnOf(tile / TILES), firstOutputOf(tile % TILES));
        [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
            low[e % 4] = min(low[e % 4], v[e]);
            high[e % 4] = max(high[e % 4], v[e]);
        }
        ++tile;
    } while (tile < GROUPS * TILES);
    vec2 range = vec2(min(min(low.x, low.y), min(low.z, low.w)), max(max(high.x, high.y), max(high.z, high.w)));
    [[unroll]] for (uint step = 1; step < LANES; step *= 2) {
        range = vec2(min(range.x, subgroupShuffleXor(range.x, step)), max(range.y, subgroupShuffleXor(range.y, step)));
    }
    return range;
}

uint words[VECTORS];

// Byte b of this lane's word is code b LANES + lane of 4 LANES neighbours; what it stores are codes 4 lane .. 4 lane + 3.
uint neighbours(uint word) {
    const uint shift = 4 * lane / LANES * 8;
    uint result = 0;
    [[unroll]] for (uint b = 0; b < 4; ++b) {
        result |= ((subgroupShuffle(word, (4 * lane + b) % LANES) >> shift) & 0xFFu) << (8 * b);
    }
    return result;
}

// Writes the codes of 4 LANES columns; returns the sum of those that no tile before this one has.
int tileCodes(Quantiser quantiser, uint tile, uint column, uint header) {
    const uint firstOutput = firstOutputOf(tile);
    int sum = 0;
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) words[e] = 0;
    uint part = 0;
    if (lane < LANES) do {
        mixTile(column + part * LANES, firstOutput);
        [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
            const int code = quantise(quantiser, v[e]);
            words[e] |= (uint(code) & 0xFFu) << (8 * part);
            sum += firstOutput + e / POWER >= tile * TILE ? code : 0;
        }
        ++part;
    } while (part < 4);
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
        const uint first = column + e % POWER * UNIT + (firstOutput + e / POWER) * STRIDE;
        rows[header + 4 + first / 4 + lane] = neighbours(words[e]);
    }
    return sum;
}

void main() {
    lane = gl_SubgroupInvocationID;
    const uint row = push.firstRow + gl_WorkGroupID.x;
    rowAt = advance(uvec2(push.inputsLow, push.inputsHigh), row * WIDTH * 4);
    float scale;
    const Quantiser quantiser = quantiserOf(rowRange(), scale);

    const uint header = row * (4 + WIDTH / 4);
    int sum = 0;
    uint tile = 0;
    if (lane < LANES) do {
        sum += tileCodes(quantiser, tile % TILES, columnOf(tile / TILES * 4), header);
        ++tile;
    } while (tile < GROUPS / 4 * TILES);
    [[unroll]] for (uint step = 1; step < LANES; step *= 2) sum += subgroupShuffleXor(sum, step);
    if (lane != 0) return;
    rows[header] = floatBitsToUint(scale);
    rows[header + 1] = uint(quantiser.zero);
    rows[header + 2] = uint(sum);
    rows[header + 3] = 0;
}
