// y = W x + b as in integer_linear.comp, on matrix units: KHR cooperative matrices, s8 x s8 -> s32; for many rows of x.
//
// Buffers   as there, all of them storage buffers
// Mapping   a workgroup computes TILE_ROWS rows of x by TILE_COLUMNS outputs, WAVES_M x WAVES_N subgroups of FRAGS_M x FRAGS_N
//           matrices. Workgroup x walks the columns, y the rows.
// K         steps of STEP blocks of 32 inputs go through shared memory, activations as they are and weights as bytes in the
//           order of K, in two buffers: while one is multiplied, the loads of the next step are under way, and a step takes
//           one barrier. A row ends in 16 unused bytes, which spreads the rows over the banks. Blocks past K have weight 0.
// Groups    hold whole steps. Their sums become floats in the registers of the matrices; scales and code sums of the columns
//           and zero points of the rows are matrices too, whose rows, or columns, lie on one another (a stride of 0).
// Sums      4-bit weights enter as 16 q, whose sums are exact for K < 132,000, and are shifted back.
// Results   are finished as matrices and stored as such where the whole tile lies in y and its rows are aligned; else they go
//           through shared memory, row by row of matrices, to invocations that store what is there.
// Sizes     the matrix shape, the subgroup size and all of the above are specialisation constants: the shapes of every vendor
//           are this one module. 32 is a multiple of SHAPE_K.
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
layout(constant_id = 7) const uint FRAGS_M = 2;
layout(constant_id = 8) const uint FRAGS_N = 2;
layout(constant_id = 9) const uint STEP = 1;             // blocks
layout(constant_id = 10) const bool ONE_GROUP = false;   // of all of K
layout(constant_id = 11) const uint DEPTH = 1;           // steps whose loads are under way
const uint THREADS = gl_WorkGroupSize.x;
const uint WAVE_ROWS = FRAGS_M * SHAPE_M;
const uint WAVE_COLUMNS = FRAGS_N * SHAPE_N;
const uint TILE_ROWS = WAVES_M * WAVE_ROWS;
const uint TILE_COLUMNS = WAVES_N * WAVE_COLUMNS;
const uint UNITS_OF_BLOCK = WEIGHT_BITS / 4;
const int SUM_SHIFT = WEIGHT_BITS == 4 ? 4 : 0;

// Shared memory is an array of pairs of words: 8 inputs, the least SHAPE_K.
const uint ROW_PAIRS = 4 * STEP + 2;
const uint BUFFER_PAIRS = (TILE_ROWS + TILE_COLUMNS) * ROW_PAIRS;
const uint RESULT_PAIRS = SHAPE_M * WAVE_COLUMNS / 2;    // of a subgroup
const uint ALL_RESULT_PAIRS = WAVES_M * WAVES_N * RESULT_PAIRS;

layout(push_constant) uniform Push { IntegerLinearPush push; };
layout(set = 0, binding = 0, std430) restrict readonly buffer Activations { uvec4 activations[]; };
layout(set = 0, binding = 1, std430) restrict readonly buffer Codes { uvec4 codes[]; };
layout(set = 0, binding = 2, std430) restrict readonly buffer Parameters { uvec4 parameters[]; };
layout(set = 0, binding = 3, std430) restrict buffer Y { float y[]; };

shared uvec2 pairs[2 * BUFFER_PAIRS > ALL_RESULT_PAIRS ? 2 * BUFFER_PAIRS : ALL_RESULT_PAIRS];
shared float rowScales[TILE_ROWS];
shared int rowZeros[TILE_ROWS];
shared float columnScales[2 * TILE_COLUMNS];  // of a group, and of the next
shared int columnSums[2 * TILE_COLUMNS];
shared float columnBiases[TILE_COLUMNS];

const uint ACTIVATION_LOADS = (2 * STEP * TILE_ROWS + THREADS - 1) / THREADS;  // of an invocation
const uint WEIGHT_LOADS = (UNITS_OF_BLOCK * STEP * TILE_COLUMNS + THREADS - 1) / THREADS;
const uint COLUMN_LOADS = (TILE_COLUMNS + THREADS - 1) / THREADS;
uvec4 nextActivations[DEPTH * ACTIVATION_LOADS];
uvec4 nextWeights[DEPTH * WEIGHT_LOADS];
uvec2 nextColumns[COLUMN_LOADS];

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

void loadStep(uint slot, uint block) {
    [[unroll]] for (uint i = 0; i < ACTIVATION_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x, row = at / (2 * STEP);
        const uint word = min(2 * block + at % (2 * STEP), 2 * push.blocks - 1);
        if (row < TILE_ROWS) nextActivations[slot * ACTIVATION_LOADS + i] = activations[rowWord(row) + 1 + word];
    }
    [[unroll]] for (uint i = 0; i < WEIGHT_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x;
        const uint column = gl_WorkGroupID.x * TILE_COLUMNS + at % TILE_COLUMNS;
        const uint unit = block * UNITS_OF_BLOCK + at / TILE_COLUMNS, units = push.blocks * UNITS_OF_BLOCK;
        if (at >= UNITS_OF_BLOCK * STEP * TILE_COLUMNS) continue;
        const uvec4 words = codes[(tileOf(column) * units + min(unit, units - 1)) * LANES + column % LANES];
        nextWeights[slot * WEIGHT_LOADS + i] = unit < units ? words : uvec4(WEIGHT_BITS == 4 ? 0x88888888u : 0u);
    }
}

// Unsigned nibbles q + 8 in the high halves of bytes to int8 16 q.
uint signedBytes(uint nibbles) { return (nibbles & 0xF0F0F0F0u) ^ 0x80808080u; }

void storeStep(uint slot, uint side) {
    [[unroll]] for (uint i = 0; i < ACTIVATION_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x, row = at / (2 * STEP);
        if (row >= TILE_ROWS) continue;
        const uint pair = side * BUFFER_PAIRS + row * ROW_PAIRS + at % (2 * STEP) * 2;
        const uvec4 words = nextActivations[slot * ACTIVATION_LOADS + i];
        pairs[pair] = words.xy;
        pairs[pair + 1] = words.zw;
    }
    [[unroll]] for (uint i = 0; i < WEIGHT_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x;
        if (at >= UNITS_OF_BLOCK * STEP * TILE_COLUMNS) continue;
        const uint row = TILE_ROWS + at % TILE_COLUMNS;
        const uint pair = side * BUFFER_PAIRS + row * ROW_PAIRS + at / TILE_COLUMNS * (4 / UNITS_OF_BLOCK);
        const uvec4 words = nextWeights[slot * WEIGHT_LOADS + i];
#if WEIGHT_BITS == 4
        [[unroll]] for (uint j = 0; j < 4; ++j) {
            const uint word = (words[j] << 16) | (words[j] >> 16);  // see kernels/linear_weights.h
            pairs[pair + j] = uvec2(signedBytes(word << 4), signedBytes(word));
        }
#else
        pairs[pair] = words.xy;
        pairs[pair + 1] = words.zw;
#endif
    }
}

void loadColumns(uint group) {
    [[unroll]] for (uint i = 0; i < COLUMN_LOADS; ++i) {
        nextColumns[i] = parameterOf(gl_WorkGroupID.x * TILE_COLUMNS + i * THREADS + gl_LocalInvocationID.x, group);
    }
}

void storeColumns(uint group) {
    [[unroll]] for (uint i = 0; i < COLUMN_LOADS; ++i) {
        const uint column = i * THREADS + gl_LocalInvocationID.x;
        if (column >= TILE_COLUMNS) continue;
        columnScales[group % 2 * TILE_COLUMNS + column] = uintBitsToFloat(nextColumns[i].x);
        columnSums[group % 2 * TILE_COLUMNS + column] = int(nextColumns[i].y);
    }
}

// The subgroup's place in the tile.
uint waveRow() { return gl_SubgroupID / WAVES_N * WAVE_ROWS; }
uint waveColumn() { return gl_SubgroupID % WAVES_N * WAVE_COLUMNS; }

coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> sums[FRAGS_M * FRAGS_N];
coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> results[FRAGS_M * FRAGS_N];

void clearSums() {
    [[unroll]] for (uint i = 0; i < FRAGS_M * FRAGS_N; ++i)
        sums[i] = coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator>(0);
}

void multiplyStep(uint side) {
    const uint rows = side * BUFFER_PAIRS + waveRow() * ROW_PAIRS;
    const uint columns = side * BUFFER_PAIRS + (TILE_ROWS + waveColumn()) * ROW_PAIRS;
    [[unroll]] for (uint k = 0; k < 4 * STEP; k += SHAPE_K / 8) {
        coopmat<int8_t, gl_ScopeSubgroup, SHAPE_M, SHAPE_K, gl_MatrixUseA> x[FRAGS_M];
        [[unroll]] for (uint m = 0; m < FRAGS_M; ++m)
            coopMatLoad(x[m], pairs, rows + m * SHAPE_M * ROW_PAIRS + k, ROW_PAIRS, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint n = 0; n < FRAGS_N; ++n) {
            coopmat<int8_t, gl_ScopeSubgroup, SHAPE_K, SHAPE_N, gl_MatrixUseB> w;
            coopMatLoad(w, pairs, columns + n * SHAPE_N * ROW_PAIRS + k, ROW_PAIRS, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint m = 0; m < FRAGS_M; ++m)
                sums[m * FRAGS_N + n] = coopMatMulAdd(x[m], w, sums[m * FRAGS_N + n]);
        }
    }
}

// results += float(sums - zero point * code sum) * scale, and sums = 0.
void finishGroup(uint group) {
    [[unroll]] for (uint n = 0; n < FRAGS_N; ++n) {
        const uint column = group % 2 * TILE_COLUMNS + waveColumn() + n * SHAPE_N;
        coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> codeSums;
        coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> scales;
        coopMatLoad(codeSums, columnSums, column, 0, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(scales, columnScales, column, 0, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint m = 0; m < FRAGS_M; ++m) {
            const uint i = m * FRAGS_N + n;
            coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> zeros;
            coopMatLoad(zeros, rowZeros, waveRow() + m * SHAPE_M, 0, gl_CooperativeMatrixLayoutColumnMajor);
            if (SUM_SHIFT > 0) {
                [[unroll]] for (int j = 0; j < sums[i].length(); ++j) sums[i][j] = sums[i][j] >> SUM_SHIFT;
            }
            precise coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> term =
                coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator>(sums[i] - zeros * codeSums) * scales;
            precise coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> result = results[i] + term;
            results[i] = result;
        }
    }
    clearSums();
}

// Times s_x, plus bias.
void finishRows() {
    [[unroll]] for (uint n = 0; n < FRAGS_N; ++n) {
        coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> biases;
        coopMatLoad(biases, columnBiases, waveColumn() + n * SHAPE_N, 0, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint m = 0; m < FRAGS_M; ++m) {
            const uint i = m * FRAGS_N + n;
            coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> scales;
            coopMatLoad(scales, rowScales, waveRow() + m * SHAPE_M, 0, gl_CooperativeMatrixLayoutColumnMajor);
            precise coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> value = results[i] * scales;
            precise coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> result = value + biases;
            results[i] = result;
        }
    }
}

// Loops over elements wait for memory once a round, as y might be what they read: nothing there goes through them.
void storeWhole(uint firstRow, uint firstColumn) {
    [[unroll]] for (uint i = 0; i < FRAGS_M * FRAGS_N; ++i) {
        const uint at = (firstRow + i / FRAGS_N * SHAPE_M) * push.outputs + firstColumn + i % FRAGS_N * SHAPE_N;
        precise coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> value = results[i];
        if (push.accumulate != 0) {
            coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator> old;
            coopMatLoad(old, y, at, push.outputs, gl_CooperativeMatrixLayoutRowMajor);
            value = value + old;
        }
        coopMatStore(value, y, at, push.outputs, gl_CooperativeMatrixLayoutRowMajor);
    }
}

void storeParts(uint firstRow, uint firstColumn, uint lastColumn) {
    const uint first = gl_SubgroupID * RESULT_PAIRS;
    [[unroll]] for (uint m = 0; m < FRAGS_M; ++m) {
        barrier();
        [[unroll]] for (uint n = 0; n < FRAGS_N; ++n)
            coopMatStore(results[m * FRAGS_N + n], pairs, first + n * SHAPE_N / 2, WAVE_COLUMNS / 2, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        for (uint at = gl_SubgroupInvocationID; at < SHAPE_M * WAVE_COLUMNS; at += gl_SubgroupSize) {
            const uint row = firstRow + m * SHAPE_M + at / WAVE_COLUMNS, column = firstColumn + at % WAVE_COLUMNS;
            if (row >= push.rows || column >= lastColumn) continue;
            precise float value = uintBitsToFloat(pairs[first + at / 2][at % 2]);
            const uint index = row * push.outputs + column;
            if (push.accumulate != 0) value = value + y[index];
            y[index] = value;
        }
    }
}

void storeResults() {
    const uint tileRow = push.firstRow + gl_WorkGroupID.y * TILE_ROWS, tileColumn = gl_WorkGroupID.x * TILE_COLUMNS;
    const uint firstRow = tileRow + waveRow(), firstColumn = push.firstOutput + tileColumn + waveColumn();
    if (push.alignedRows != 0 && tileRow + TILE_ROWS <= push.rows && tileColumn + TILE_COLUMNS <= push.panelRows) {
        storeWhole(firstRow, firstColumn);
    } else {
        storeParts(firstRow, firstColumn, push.firstOutput + push.panelRows);
    }
}

void main() {
    [[unroll]] for (uint i = 0; i < DEPTH; ++i) loadStep(i, i * STEP);
    loadColumns(0);
    [[unroll]] for (uint i = 0; i < COLUMN_LOADS; ++i) {
        const uint column = i * THREADS + gl_LocalInvocationID.x;
        if (column < TILE_COLUMNS)
            columnBiases[column] = uintBitsToFloat(parameterOf(gl_WorkGroupID.x * TILE_COLUMNS + column, push.groups).x);
    }
    for (uint row = gl_LocalInvocationID.x; row < TILE_ROWS; row += THREADS) {
        const uvec4 header = activations[rowWord(row)];
        rowScales[row] = uintBitsToFloat(header.x);
        rowZeros[row] = int(header.y);
    }
    [[unroll]] for (uint i = 0; i < FRAGS_M * FRAGS_N; ++i)
        results[i] = coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator>(0.0);
    clearSums();
    storeColumns(0);
    storeStep(0, 0);
    loadStep(0, DEPTH * STEP);
    barrier();

    uint group = 0, current = 0;
    for (uint first = 0; first < push.blocks; first += DEPTH * STEP) {
        [[unroll]] for (uint i = 0; i < DEPTH; ++i) {
            const uint block = first + i * STEP, next = block + STEP;
            const bool groupEnds = !ONE_GROUP && block < push.blocks && (next >= push.blocks || next % push.groupBlocks == 0);
            if (groupEnds && next < push.blocks) loadColumns(group + 1);
            multiplyStep(current);
            if (groupEnds) finishGroup(group);
            current ^= 1;
            const uint slot = (i + 1) % DEPTH;
            storeStep(slot, current);
            loadStep(slot, next + DEPTH * STEP);
            if (groupEnds && next < push.blocks) storeColumns(++group);
            barrier();
        }
    }
    if (ONE_GROUP) finishGroup(0);
    finishRows();
    storeResults();
}
