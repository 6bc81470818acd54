// The input of a site for one row, with blocks and tiles in registers: source, block transform, mix and codes.
//
// Needs: interface/quantise_rows.h, interface/row_kernels.h, lib/address_units.glsl, row_values.glsl, exp.glsl, float_words.glsl;
//        GL_KHR_shader_subgroup_basic and _shuffle; const uint LANES; uint lane; SITE, a SiteRowPush; SITE_CONSTANTS, the first
//        of its constants' numbers; buffers rows[] as in quantise_rows.comp and coherent scratch[], float32 [M, K], what is left
//        of a row for its mix (not in shared memory: its loads do not join). SITE_NORMS, if defined: whether a row of a site
//        with a norm is to be normed at all.
// Reads: at their addresses x float32 [M, K], for SwiGLU [M, 2K]; floats as in site_codes.comp; blocks as in
//        block_transform.comp with ADDRESS.
// Gives: constants; leavePart(row, first, end): of those columns what source and blocks leave, whole blocks;
//        writeCodes(row): when that is written, the row's mix and codes.
// Rounding  products and sums of blocks and dense mix are fused, j ascending; the rest as in the single kernels.
// Requires  LANES divides 32, 32 divides K and BLOCK, BLOCK divides K, is at most 64 or a multiple of it; a mix as
//           lib/tile_codes.glsl needs it

layout(constant_id = SITE_CONSTANTS) const uint WIDTH = 64;  // K
layout(constant_id = SITE_CONSTANTS + 1) const uint SOURCE = kSourceRows;
layout(constant_id = SITE_CONSTANTS + 2) const uint BLOCK = 64;   // 0: none
layout(constant_id = SITE_CONSTANTS + 3) const uint CORE = 1;     // order of the dense mix
layout(constant_id = SITE_CONSTANTS + 4) const uint STRIDE = 64;  // of the dense mix
layout(constant_id = SITE_CONSTANTS + 5) const uint POWER = 1;    // order of the Hadamard mix
layout(constant_id = SITE_CONSTANTS + 6) const uint TILE = 1;
layout(constant_id = SITE_CONSTANTS + 7) const bool MIXES = true;  // false: CORE is 1, POWER only a number of vectors
layout(constant_id = SITE_CONSTANTS + 8) const uint FORMAT = kFormatA8;
const uint PADDED = (CORE + 7) / 8 * 8;  // a row of the mix's matrix
#ifndef SITE_NORMS
#define SITE_NORMS true
#endif
const bool LEAVES = SOURCE != kSourceRows || BLOCK != 0;  // else the row lies where it is

#include "lib/quantiser.glsl"

uvec2 rowAt;  // what is left of the row
uvec2 matrixAt;
#define MIX_SCALE SITE.mixScale
#include "lib/tile_codes.glsl"

const uint COLUMNS = BLOCK == 0 ? LANES : BLOCK > 64 ? 64 : BLOCK;  // of a block at once: their sums lie in registers
const uint OUTPUTS = COLUMNS / LANES;
const uint STEP = 32;  // inputs at once: a whole block of 64 takes the driver seconds to compile
const uint HELD = STEP / LANES;
float held[HELD];
float outputs[OUTPUTS];

uvec2 sourceAt(uint row) {
    return advance(uvec2(SITE.inputsLow, SITE.inputsHigh), row * (SOURCE == kSourceSwiGlu ? 2 * WIDTH : WIDTH) * 4);
}

// 1 / sqrt(mean of squares + epsilon), summed in the order of rms_norm.comp: element e of 4 LANES neighbours is part e % 4 of
// the vector that lane e / 4 has there.
float rowFactor(uvec2 at) {
    float squares[4] = float[4](0, 0, 0, 0);
    uint first = 0;
    ALWAYS do {
        [[unroll]] for (uint r = 0; r < 4; ++r) {
            const float value = rowValue(at, first + r * LANES);
            squares[r] += value * value;
        }
        first += 4 * LANES;
    } while (first < WIDTH);
    float sum = 0;
    [[unroll]] for (uint r = 0; r < 4; ++r) {
        squares[r] += subgroupShuffleXor(squares[r], 1);
        squares[r] += subgroupShuffleXor(squares[r], 2);
        [[unroll]] for (uint l = 0; l < LANES; l += 4) sum += subgroupShuffle(squares[r], l);
    }
    return 1.0 / sqrt(sum / float(WIDTH) + SITE.epsilon);
}

// Inputs first .. first + STEP - 1 of the row.
void holdInputs(uvec2 at, uint first, float factor) {
    at = advance(at, first * 4);
    const uvec2 up = advance(at, WIDTH * 4);
    const uvec2 gamma = advance(uvec2(SITE.floatsLow, SITE.floatsHigh), first * 4);
    [[unroll]] for (uint i = 0; i < HELD; ++i) {
        const float value = rowValue(at, i * LANES);
        held[i] = value;
        if (SOURCE == kSourceNorm && SITE_NORMS) held[i] = value * factor * tableValue(gamma, i * LANES);
        if (SOURCE == kSourceSwiGlu) held[i] = value / (1.0 + expAccurate(-value)) * rowValue(up, i * LANES);
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
                outputs[n] = fma(value, j < 4 ? low[j & 3] : high[j & 3], outputs[n]);
            }
        }
    }
}

// Columns column .. column + COLUMNS - 1 of the block that begins at column `first` of the row.
void transformColumns(uvec2 at, uint row, uint first, uint column, float factor) {
    [[unroll]] for (uint n = 0; n < OUTPUTS; ++n) outputs[n] = 0;
    uint input_ = 0;
    ALWAYS do {
        holdInputs(at, first + input_, factor);
        addStep(advance(uvec2(SITE.blocksLow, SITE.blocksHigh), (first + input_) * BLOCK * 2 + column * 16));
        input_ += STEP;
    } while (input_ < BLOCK);
    [[unroll]] for (uint n = 0; n < OUTPUTS; ++n) scratch[row * WIDTH + first + column + n * LANES + lane] = outputs[n];
}

void leavePart(uint row, uint first, uint end) {
    if (!LEAVES) return;
    const uvec2 at = sourceAt(row);
    float factor = 1.0;
    if (SOURCE == kSourceNorm && SITE_NORMS) factor = rowFactor(at);
    ALWAYS do {
        if (BLOCK != 0) {
            uint column = 0;
            ALWAYS do {
                transformColumns(at, row, first, column, factor);
                column += COLUMNS;
            } while (column < BLOCK);
            first += BLOCK;
        } else {
            holdInputs(at, first, factor);
            [[unroll]] for (uint i = 0; i < HELD; ++i) scratch[row * WIDTH + first + i * LANES + lane] = held[i];
            first += STEP;
        }
    } while (first < end);
}

void writeCodes(uint row) {
    rowAt = LEAVES ? advance(uvec2(SITE.scratchLow, SITE.scratchHigh), row * WIDTH * 4) : sourceAt(row);
    matrixAt = advance(uvec2(SITE.floatsLow, SITE.floatsHigh), SOURCE == kSourceNorm && SITE_NORMS ? WIDTH * 4 : 0);
    writeTileCodes(row);
}
