// y = W x + b as in integer_linear.comp, on matrix units: KHR cooperative matrices, s8 x s8 -> s32; for many rows of x.
//
// Buffers   as there, all of them storage buffers
// Mapping   a workgroup computes TILE_ROWS rows of x by TILE_COLUMNS outputs, WAVES_M x WAVES_N subgroups of 2 x 2 matrices.
//           Workgroup x walks the columns, y the rows.
// K         blocks of 32 inputs go through shared memory: activations as they are, weights as bytes in the order of K.
//           A row takes 12 words there, not 8: matrix loads want rows on 16 bytes, and this spreads them over the banks.
// Groups    at the end of a group its sums go to shared memory, and each invocation finishes the same elements every time, in
//           the order of the contract: its results stay in registers.
// Sizes     the matrix shape, the subgroup size and the number of subgroups are specialisation constants: the shapes of every
//           vendor are this one module. 32 is a multiple of SHAPE_K.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require

#include "interface/integer_linear.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint SHAPE_M = 8;
layout(constant_id = 2) const uint SHAPE_N = 8;
layout(constant_id = 3) const uint SHAPE_K = 8;
layout(constant_id = 4) const uint LANES = 8;  // rows of a weight tile
layout(constant_id = 5) const uint WAVES_M = 1;
layout(constant_id = 6) const uint WAVES_N = 1;
const uint THREADS = gl_WorkGroupSize.x;
const uint TILE_ROWS = 2 * SHAPE_M * WAVES_M;
const uint TILE_COLUMNS = 2 * SHAPE_N * WAVES_N;
const uint STRIDE = 12;                                      // words of a row in shared memory
const uint ELEMENTS = TILE_ROWS * TILE_COLUMNS / THREADS;    // of an invocation
const uint UNITS_OF_BLOCK = WEIGHT_BITS / 4;

layout(push_constant) uniform Push { IntegerLinearPush push; };
layout(set = 0, binding = 0, std430) readonly buffer Activations { uvec4 activations[]; };
layout(set = 0, binding = 1, std430) readonly buffer Codes { uvec4 codes[]; };
layout(set = 0, binding = 2, std430) readonly buffer Parameters { uvec4 parameters[]; };
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };

shared uint sharedX[TILE_ROWS * STRIDE];
shared uint sharedW[TILE_COLUMNS * STRIDE];
shared int sharedSums[TILE_ROWS * TILE_COLUMNS];

uint rowWord(uint row) {
    return min(push.firstRow + gl_WorkGroupID.y * TILE_ROWS + row, push.rows - 1) * (1 + 2 * push.blocks);
}

// The weight tile of a column; past the end the last one's, whose results are not stored.
uint tileOf(uint column) { return min(column / LANES, (push.panelRows + LANES - 1) / LANES - 1); }

// {scale, code sum} of a group, or {bias, 0} for group == push.groups.
uvec2 parameterOf(uint column, uint group) {
    const uint tile = tileOf(column);
    const uvec4 both = parameters[(tile / 2 * (push.groups + 1) + group) * LANES + column % LANES];
    return tile % 2 == 0 ? both.xy : both.zw;
}

void stageActivations(uint block) {
    for (uint i = gl_LocalInvocationID.x; i < 2 * TILE_ROWS; i += THREADS) {
        const uvec4 words = activations[rowWord(i / 2) + 1 + 2 * block + i % 2];
        const uint at = i / 2 * STRIDE + i % 2 * 4;
        [[unroll]] for (uint j = 0; j < 4; ++j) sharedX[at + j] = words[j];
    }
}

// Unsigned nibbles q + 8 in the low halves of bytes to int8.
uint signedBytes(uint nibbles) { return ((nibbles | 0x80808080u) - 0x08080808u) ^ 0x80808080u; }

void stageWeights(uint block) {
    for (uint i = gl_LocalInvocationID.x; i < UNITS_OF_BLOCK * TILE_COLUMNS; i += THREADS) {
        const uint row = i / UNITS_OF_BLOCK, part = i % UNITS_OF_BLOCK;
        const uint column = gl_WorkGroupID.x * TILE_COLUMNS + row;
        const uint unit = (tileOf(column) * push.blocks + block) * UNITS_OF_BLOCK + part;
        const uvec4 words = codes[unit * LANES + column % LANES];
        const uint at = row * STRIDE + part * 4;
        [[unroll]] for (uint j = 0; j < 4; ++j) {
#if WEIGHT_BITS == 4
            const uint word = (words[j] << 16) | (words[j] >> 16);  // see kernels/linear_weights.h
            sharedW[at + 2 * j] = signedBytes(word & 0x0F0F0F0Fu);
            sharedW[at + 2 * j + 1] = signedBytes((word >> 4) & 0x0F0F0F0Fu);
#else
            sharedW[at + j] = words[j];
#endif
        }
    }
}

// The subgroup's place in the tile.
uint waveRow() { return gl_SubgroupID / WAVES_N * 2 * SHAPE_M; }
uint waveColumn() { return gl_SubgroupID % WAVES_N * 2 * SHAPE_N; }

coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> sums[4];

void multiplyBlock() {
    coopmat<int8_t, gl_ScopeSubgroup, SHAPE_M, SHAPE_K, gl_MatrixUseA> x[2];
    coopmat<int8_t, gl_ScopeSubgroup, SHAPE_K, SHAPE_N, gl_MatrixUseB> w[2];
    for (uint k = 0; k < 8; k += SHAPE_K / 4) {
        [[unroll]] for (uint i = 0; i < 2; ++i) {
            coopMatLoad(x[i], sharedX, (waveRow() + i * SHAPE_M) * STRIDE + k, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
            coopMatLoad(w[i], sharedW, (waveColumn() + i * SHAPE_N) * STRIDE + k, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
        }
        [[unroll]] for (uint i = 0; i < 4; ++i) sums[i] = coopMatMulAdd(x[i / 2], w[i % 2], sums[i]);
    }
}

void main() {
    const uint thread = gl_LocalInvocationID.x;
    float results[ELEMENTS];
    for (uint i = 0; i < ELEMENTS; ++i) results[i] = 0;

    for (uint group = 0; group < push.groups; ++group) {
        const uint groupEnd = min((group + 1) * push.groupBlocks, push.blocks);
        [[unroll]] for (uint i = 0; i < 4; ++i)
            sums[i] = coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator>(0);
        for (uint block = group * push.groupBlocks; block < groupEnd; ++block) {
            barrier();
            stageActivations(block);
            stageWeights(block);
            barrier();
            multiplyBlock();
        }
        [[unroll]] for (uint i = 0; i < 4; ++i) {
            const uint at = (waveRow() + i / 2 * SHAPE_M) * TILE_COLUMNS + waveColumn() + i % 2 * SHAPE_N;
            coopMatStore(sums[i], sharedSums, at, TILE_COLUMNS, gl_CooperativeMatrixLayoutRowMajor);
        }
        barrier();
        for (uint i = 0; i < ELEMENTS; ++i) {
            const uint at = i * THREADS + thread;
            const uvec2 scaleAndSum = parameterOf(gl_WorkGroupID.x * TILE_COLUMNS + at % TILE_COLUMNS, group);
            const int correction = int(activations[rowWord(at / TILE_COLUMNS)].y) * int(scaleAndSum.y);
            precise float term = float(sharedSums[at] - correction) * uintBitsToFloat(scaleAndSum.x);
            precise float result = results[i] + term;
            results[i] = result;
        }
    }

    for (uint i = 0; i < ELEMENTS; ++i) {
        const uint at = i * THREADS + thread;
        const uint row = push.firstRow + gl_WorkGroupID.y * TILE_ROWS + at / TILE_COLUMNS;
        const uint column = gl_WorkGroupID.x * TILE_COLUMNS + at % TILE_COLUMNS;
        if (row >= push.rows || column >= push.panelRows) continue;
        precise float value = results[i] * uintBitsToFloat(activations[rowWord(at / TILE_COLUMNS)].x);
        value = value + uintBitsToFloat(parameterOf(column, push.groups).x);
        const uint index = row * push.outputs + push.firstOutput + column;
        if (push.accumulate != 0) value = value + y[index];
        y[index] = value;
    }
}
