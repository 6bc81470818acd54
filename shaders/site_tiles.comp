// The input of a site in one dispatch, with blocks and tiles in registers: the arithmetic of site_codes.comp for drivers where
// loads at addresses that all lanes share are nearly free (see integer_linear_address.comp).
//
// Buffers   0 x float32 [M, K], for SwiGLU [M, 2K], a texel buffer; 1 floats as in site_codes.comp, also read at their
//           addresses; 2 blocks as in block_transform.comp with ADDRESS; 3 rows as in quantise_rows.comp; 4 scratch float32 [M, K], what
//           the blocks leave of a row (not in shared memory: its loads do not join); 5 arrivals uint [M], see Teams
// Mapping   WorkGroupID.y is the row, x a team: it takes SHARE blocks of the row. Lanes are neighbours of a row.
// Teams     When a row has several, each counts itself in the row's arrivals when its blocks are written; the last one to come
//           does mix and codes, and sets the count back to 0. None waits for another. How many there are is asked of the
//           dispatch, which so never runs in parts: a count that waits for parts to come could be left behind
// Loops     see lib/tile_codes.glsl.
// Rounding  products and sums of blocks and dense mix are fused, j ascending; the rest as in the single kernels.
// Requires  LANES divides 32, 32 divides BLOCK, BLOCK divides WIDTH; a mix as lib/tile_codes.glsl needs it
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
layout(constant_id = 1) const uint WIDTH = 64;  // K
layout(constant_id = 2) const uint SOURCE = kSourceRows;
layout(constant_id = 3) const uint BLOCK = 64;
layout(constant_id = 4) const uint CORE = 1;     // order of the dense mix
layout(constant_id = 5) const uint STRIDE = 64;  // of the dense mix
layout(constant_id = 6) const uint POWER = 1;    // order of the Hadamard mix
layout(constant_id = 7) const uint TILE = 1;
layout(constant_id = 8) const uint FORMAT = kFormatA8;
layout(constant_id = 9) const uint SHARE = 1;
const uint LANES = gl_WorkGroupSize.x;
const uint QUADS = WIDTH / 4;
const uint PADDED = (CORE + 7) / 8 * 8;  // a row of the mix's matrix
const bool ALONE = SHARE * BLOCK >= WIDTH;  // a row has one team

layout(push_constant) uniform Push { SiteTilesPush push; };
const bool WIDE = true;
#define TEXEL
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
layout(set = 0, binding = 3, std430) writeonly buffer Rows { uint rows[]; };
layout(set = 0, binding = 4, std430) coherent buffer Scratch { float scratch[]; };
layout(set = 0, binding = 5, std430) coherent buffer Arrivals { uint arrivals[]; };

#include "lib/address_units.glsl"
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer WrittenQuads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float at[]; };

uint lane;

#include "lib/exp.glsl"
#include "lib/float_words.glsl"
#include "lib/quantiser.glsl"

// Floats first .. first + LANES - 1 from `at_` on, one a lane.
#define VALUE_AT(Quads_, value, at_, first)                                                                      \
    float value = 0;                                                                                             \
    [[unroll]] for (uint l = 0; l < LANES; l += 4) {                                                             \
        const vec4 four = Quads_(at_).at[((first) + l) / 4];                                                     \
        [[unroll]] for (uint e = 0; e < 4; ++e) value = gl_SubgroupInvocationID == l + e ? four[e] : value;      \
    }
float valueAt(uvec2 at, uint first) {
    VALUE_AT(Quads, value, at, first)
    return value;
}
float rowValue(uvec2 at, uint first) {
    VALUE_AT(WrittenQuads, value, at, first)
    return value;
}

uvec2 rowAt;  // what the blocks leave of the row
uvec2 matrixAt;
#define MIX_SCALE push.mixScale
#include "lib/tile_codes.glsl"

const uint OUTPUTS = BLOCK / LANES;  // vectors of a block's outputs
const uint STEP = 32;  // inputs at once: a whole block of 64 takes the driver seconds to compile
const uint HELD = STEP / LANES;
float held[HELD];
float sums[OUTPUTS];

// 1 / sqrt(mean of squares + epsilon), summed in the order of rms_norm.comp.
float rowFactor(uint base) {
    const uint rounds = QUADS / LANES;
    const uint unroll = rounds % 4 == 0 ? 4 : 1;
    vec4 squares = vec4(0);
    uint i = 0;
    ALWAYS do {
        [[unroll]] for (uint u = 0; u < unroll; ++u) {
            const vec4 v = LOAD4(x, base, (i + u) * LANES + lane, WIDTH);
            squares += v * v;
        }
        i += unroll;
    } while (i < rounds);
    const float own = (squares.x + squares.y) + (squares.z + squares.w);
    float sum = 0;
    [[unroll]] for (uint l = 0; l < LANES; ++l) sum += subgroupShuffle(own, l);
    return 1.0 / sqrt(sum / float(WIDTH) + push.epsilon);
}

// Inputs first .. first + STEP - 1 of the row.
void holdInputs(uint row, uint first, float factor) {
    const uint rowWidth = SOURCE == kSourceSwiGlu ? 2 * WIDTH : WIDTH;
    const uvec2 at = advance(uvec2(push.inputsLow, push.inputsHigh), (row * rowWidth + first) * 4);
    const uvec2 up = advance(at, WIDTH * 4);
    const uvec2 gamma = advance(uvec2(push.floatsLow, push.floatsHigh), first * 4);
    [[unroll]] for (uint i = 0; i < HELD; ++i) {
        const float value = valueAt(at, i * LANES);
        held[i] = value;
        if (SOURCE == kSourceNorm) held[i] = value * factor * valueAt(gamma, i * LANES);
        if (SOURCE == kSourceSwiGlu) held[i] = value / (1.0 + expAccurate(-value)) * valueAt(up, i * LANES);
    }
}

void addStep(uvec2 blocksAt) {
    [[unroll]] for (uint word = 0; word < STEP / 8; ++word) {
        [[unroll]] for (uint n = 0; n < OUTPUTS; ++n) {
            const uvec4 w = unitOf(blocksAt, word * BLOCK + n * LANES);
            const vec4 low = fourHalves(w.xy, 1);
            const vec4 high = fourHalves(w.zw, 1);
            [[unroll]] for (uint j = 0; j < 8; ++j) {
                const float value = subgroupShuffle(held[(8 * word + j) / LANES], (8 * word + j) % LANES);
                sums[n] = fma(value, j < 4 ? low[j & 3] : high[j & 3], sums[n]);
            }
        }
    }
}

void transformBlock(uint row, uint first, float factor) {
    [[unroll]] for (uint n = 0; n < OUTPUTS; ++n) sums[n] = 0;
    uint input_ = 0;
    ALWAYS do {
        holdInputs(row, first + input_, factor);
        addStep(advance(uvec2(push.blocksLow, push.blocksHigh), (first + input_) * BLOCK * 2));
        input_ += STEP;
    } while (input_ < BLOCK);
    [[unroll]] for (uint n = 0; n < OUTPUTS; ++n) scratch[row * WIDTH + first + n * LANES + lane] = sums[n];
}

// True for the workgroup that finds the blocks of the whole row written.
bool lastTeam(uint row) {
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
    if (ALONE) return true;
    memoryBarrierBuffer();
    uint before = 0;
    if (lane == 0) before = atomicAdd(arrivals[row], 1);
    memoryBarrierBuffer();
    return subgroupShuffle(before, 0) == gl_NumWorkGroups.x - 1;
}

void main() {
    lane = gl_SubgroupInvocationID;
    const uint row = push.firstRow + gl_WorkGroupID.y;
    const float factor = SOURCE == kSourceNorm ? rowFactor(row * WIDTH) : 1.0;
    uint first = gl_WorkGroupID.x * SHARE * BLOCK;
    const uint end = min(first + SHARE * BLOCK, WIDTH);
    ALWAYS do {
        transformBlock(row, first, factor);
        first += BLOCK;
    } while (first < end);
    if (!lastTeam(row)) return;
    rowAt = advance(uvec2(push.scratchLow, push.scratchHigh), row * WIDTH * 4);
    matrixAt = advance(uvec2(push.floatsLow, push.floatsHigh), SOURCE == kSourceNorm ? WIDTH * 4 : 0);
    writeTileCodes(row);
    if (!ALONE && lane == 0) arrivals[row] = 0;
}
