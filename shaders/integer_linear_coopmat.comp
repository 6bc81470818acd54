// y = W x + b as in integer_linear.comp, on matrix units: KHR cooperative matrices, s8 x s8 -> s32; for many rows of x.
//
// Buffers   as there, all of them storage buffers
// Mapping   a workgroup computes TILE_ROWS rows of x by TILE_COLUMNS outputs, WAVES_M x WAVES_N subgroups of FRAGS_M x FRAGS_N
//           matrices. Workgroup x walks the columns, y the rows.
// K         steps of STEP blocks of 32 inputs go through shared memory, activations as they are and weights as bytes in the
//           order of K, in two buffers: while one is multiplied, the loads of the next DEPTH steps are under way, and a step
//           takes one barrier. A row ends in 16 unused bytes, which spreads the rows over the banks. Blocks past K have
//           weight 0.
// AHEAD     a subgroup asks for the matrices of its next products before it starts on those it has, and keeps the addresses of
//           its loads from step to step. With 64 x 64 sums a subgroup, of which a core has room for eight, an H100 gained a
//           fifth by the one and a third by the other; with 64 x 32 it lost a tenth and a quarter.
// Slices    of K: SLICES times as many subgroups, each of which multiplies its share of a step's matrices and has sums of its
//           own, which come together as the results go through shared memory. For layers with fewer tiles than a GPU has
//           cores, where one workgroup a core is too few subgroups to hide what they wait for. With one group only.
// Groups    hold whole steps. Their sums become floats in the registers of the matrices; scales and code sums of the columns
//           and zero points of the rows are matrices too, whose rows, or columns, lie on one another (a stride of 0).
// Sums      4-bit weights enter as 16 q, whose sums are exact for K < 132,000, and are shifted back.
// Results   go through shared memory, as rows: stored from the registers of the matrices they would reach memory in pieces of
//           32 bytes, which took a fifth of an H100's time. On the way a lane finishes four columns.
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
layout(constant_id = 12) const uint WEIGHT_BITS = 4;
layout(constant_id = 13) const bool AHEAD = false;       // K is whole steps; DEPTH or the matrices of a step along K are even
layout(constant_id = 14) const uint SLICES = 1;          // divides the matrices of a step along K
const uint THREADS = gl_WorkGroupSize.x;
const uint WAVE_ROWS = FRAGS_M * SHAPE_M;
const uint WAVE_COLUMNS = FRAGS_N * SHAPE_N;
const uint TILE_ROWS = WAVES_M * WAVE_ROWS;
const uint TILE_COLUMNS = WAVES_N * WAVE_COLUMNS;
const uint UNITS_OF_BLOCK = WEIGHT_BITS / 4;
const int SUM_SHIFT = WEIGHT_BITS == 4 ? 4 : 0;

// Shared memory is an array of four words: 16 inputs, or 8 and nothing where matrices take so few.
const uint CHUNK = SHAPE_K < 16 ? 8 : 16;
const uint ROW_QUADS = 32 * STEP / CHUNK + 1;
const uint BUFFER_QUADS = (TILE_ROWS + TILE_COLUMNS) * ROW_QUADS;
const uint RESULT_PITCH = WAVE_COLUMNS / 4 + 2;    // rows in other banks
const uint RESULT_QUADS = SHAPE_M * RESULT_PITCH;  // of a subgroup
const uint WAVES = WAVES_M * WAVES_N;               // of a slice
const uint ALL_RESULT_QUADS = SLICES * WAVES * RESULT_QUADS;
const uint GROUPS_HELD = ONE_GROUP ? 1 : 2;

layout(push_constant) uniform Push { IntegerLinearPush push; };
layout(set = 0, binding = 0, std430) restrict readonly buffer Activations { uvec4 activations[]; };
layout(set = 0, binding = 1, std430) restrict readonly buffer Codes { uvec4 codes[]; };
layout(set = 0, binding = 2, std430) restrict readonly buffer Parameters { uvec4 parameters[]; };
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };
layout(set = 0, binding = 3, std430) buffer QuadsOfY { vec4 quadsOfY[]; };

shared uvec4 quads[2 * BUFFER_QUADS > ALL_RESULT_QUADS ? 2 * BUFFER_QUADS : ALL_RESULT_QUADS];
shared float rowScales[TILE_ROWS];
shared int rowZeros[TILE_ROWS];
shared float columnScales[GROUPS_HELD * TILE_COLUMNS];  // of a group, and of the next
shared int columnSums[GROUPS_HELD * TILE_COLUMNS];
shared float columnBiases[TILE_COLUMNS];

#include "lib/matrix_steps.glsl"

// The subgroup's place in the tile.
uint slice() { return SLICES > 1 ? gl_SubgroupID / WAVES : 0; }
uint wave() { return SLICES > 1 ? gl_SubgroupID % WAVES : gl_SubgroupID; }
uint waveRow() { return wave() / WAVES_N * WAVE_ROWS; }
uint waveColumn() { return wave() % WAVES_N * WAVE_COLUMNS; }

#define A_MATRIX coopmat<int8_t, gl_ScopeSubgroup, SHAPE_M, SHAPE_K, gl_MatrixUseA>
#define B_MATRIX coopmat<int8_t, gl_ScopeSubgroup, SHAPE_K, SHAPE_N, gl_MatrixUseB>
#define SUM_MATRIX coopmat<int, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator>
#define RESULT_MATRIX coopmat<float, gl_ScopeSubgroup, SHAPE_M, SHAPE_N, gl_MatrixUseAccumulator>
SUM_MATRIX sums[FRAGS_M * FRAGS_N];
RESULT_MATRIX results[FRAGS_M * FRAGS_N];

void clearSums() {
    [[unroll]] for (uint i = 0; i < FRAGS_M * FRAGS_N; ++i) sums[i] = SUM_MATRIX(0);
}

const uint MATRICES_K = 32 * STEP / SHAPE_K / SLICES;  // of a step and a slice

// Quads before matrix k of the slice in a row.
uint quadsBefore(uint k) { return (k * SLICES + slice()) * SHAPE_K / CHUNK; }

void multiplyStep(uint side) {
    const uint rows = side * BUFFER_QUADS + waveRow() * ROW_QUADS;
    const uint columns = side * BUFFER_QUADS + (TILE_ROWS + waveColumn()) * ROW_QUADS;
    [[unroll]] for (uint k = 0; k < MATRICES_K; ++k) {
        const uint before = quadsBefore(k);
        A_MATRIX x[FRAGS_M];
        [[unroll]] for (uint m = 0; m < FRAGS_M; ++m)
            coopMatLoad(x[m], quads, rows + m * SHAPE_M * ROW_QUADS + before, ROW_QUADS, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint n = 0; n < FRAGS_N; ++n) {
            B_MATRIX w;
            coopMatLoad(w, quads, columns + n * SHAPE_N * ROW_QUADS + before, ROW_QUADS, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint m = 0; m < FRAGS_M; ++m)
                sums[m * FRAGS_N + n] = coopMatMulAdd(x[m], w, sums[m * FRAGS_N + n]);
        }
    }
}

// With AHEAD: two sets of matrices, of the products under way and of the next.
A_MATRIX setX[2 * FRAGS_M];
B_MATRIX setW[2 * FRAGS_N];

void loadSet(uint set, uint side, uint k) {
    const uint rows = side * BUFFER_QUADS + waveRow() * ROW_QUADS + quadsBefore(k);
    const uint columns = side * BUFFER_QUADS + (TILE_ROWS + waveColumn()) * ROW_QUADS + quadsBefore(k);
    [[unroll]] for (uint m = 0; m < FRAGS_M; ++m)
        coopMatLoad(setX[set * FRAGS_M + m], quads, rows + m * SHAPE_M * ROW_QUADS, ROW_QUADS, gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint n = 0; n < FRAGS_N; ++n)
        coopMatLoad(setW[set * FRAGS_N + n], quads, columns + n * SHAPE_N * ROW_QUADS, ROW_QUADS,
                    gl_CooperativeMatrixLayoutColumnMajor);
}

void multiplySet(uint set) {
    [[unroll]] for (uint n = 0; n < FRAGS_N; ++n)
        [[unroll]] for (uint m = 0; m < FRAGS_M; ++m)
            sums[m * FRAGS_N + n] = coopMatMulAdd(setX[set * FRAGS_M + m], setW[set * FRAGS_N + n], sums[m * FRAGS_N + n]);
}

// The products of step i of a round; the next step's words go to the other side in time for its first set.
void multiplyStepAhead(uint i, uint side, uint slot) {
    [[unroll]] for (uint k = 0; k < MATRICES_K; ++k) {
        const uint set = (i * MATRICES_K + k) % 2;
        const bool last = k + 1 == MATRICES_K;
        if (last) {
            storeStep(slot, side ^ 1);
            barrier();
        }
        loadSet(set ^ 1, last ? side ^ 1 : side, (k + 1) % MATRICES_K);
        multiplySet(set);
    }
}

// results += float(sums - zero point * code sum) * scale, and sums = 0.
void finishGroup(uint group) {
    [[unroll]] for (uint n = 0; n < FRAGS_N; ++n) {
        const uint column = group % GROUPS_HELD * TILE_COLUMNS + waveColumn() + n * SHAPE_N;
        SUM_MATRIX codeSums;
        RESULT_MATRIX scales;
        coopMatLoad(codeSums, columnSums, column, 0, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(scales, columnScales, column, 0, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint m = 0; m < FRAGS_M; ++m) {
            const uint i = m * FRAGS_N + n;
            SUM_MATRIX zeros;
            coopMatLoad(zeros, rowZeros, waveRow() + m * SHAPE_M, 0, gl_CooperativeMatrixLayoutColumnMajor);
            if (SUM_SHIFT > 0) {
                [[unroll]] for (int j = 0; j < sums[i].length(); ++j) sums[i][j] = sums[i][j] >> SUM_SHIFT;
            }
            precise RESULT_MATRIX term = RESULT_MATRIX(sums[i] - zeros * codeSums) * scales;
            precise RESULT_MATRIX result = results[i] + term;
            results[i] = result;
        }
    }
    clearSums();
}

// Four columns of results of one row.
vec4 finished(uvec4 raw, uint row, uint column) {
    ivec4 codeSums;
    vec4 scales, biases;
    [[unroll]] for (uint e = 0; e < 4; ++e) {
        codeSums[e] = columnSums[column + e];
        scales[e] = columnScales[column + e];
        biases[e] = columnBiases[column + e];
    }
    precise vec4 value = uintBitsToFloat(raw);
    if (ONE_GROUP) {
        precise vec4 term = vec4((ivec4(raw) >> SUM_SHIFT) - rowZeros[row] * codeSums) * scales;
        value = vec4(0) + term;
    }
    value = value * rowScales[row];
    value = value + biases;
    return value;
}

void store(uint row, uint column, vec4 value_) {
    precise vec4 value = value_;
    const uint at = row * push.outputs + column, end = push.firstOutput + push.panelRows;
    if (row >= push.rows || column >= end) return;
    if (push.alignedRows != 0 && column + 4 <= end) {
        if (push.accumulate != 0) value = value + quadsOfY[at / 4];
        quadsOfY[at / 4] = value;
        return;
    }
    [[unroll]] for (uint e = 0; e < 4; ++e) {
        if (column + e >= end) break;
        precise float one = value[e];
        if (push.accumulate != 0) one = one + y[at + e];
        y[at + e] = one;
    }
}

// Subgroups that hand results to one another wait here.
void resultsBarrier() {
    if (SLICES > 1) barrier();
    else subgroupBarrier();
}

void storeResults() {
    const uint first = wave() * RESULT_QUADS, ofSlice = WAVES * RESULT_QUADS;
    const uint tileRow = push.firstRow + gl_WorkGroupID.y * TILE_ROWS;
    const uint tileColumn = push.firstOutput + gl_WorkGroupID.x * TILE_COLUMNS;
    const uint rowQuads = WAVE_COLUMNS / 4;
    [[unroll]] for (uint m = 0; m < FRAGS_M; ++m) {
        if (m > 0) resultsBarrier();
        [[unroll]] for (uint n = 0; n < FRAGS_N; ++n) {
            const uint at = first + slice() * ofSlice + n * SHAPE_N / 4;
            if (ONE_GROUP) coopMatStore(sums[m * FRAGS_N + n], quads, at, RESULT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
            else coopMatStore(results[m * FRAGS_N + n], quads, at, RESULT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        }
        resultsBarrier();
        [[unroll]] for (uint i = 0; i < (SHAPE_M * rowQuads + SLICES * LANES - 1) / (SLICES * LANES); ++i) {
            const uint at = (i * SLICES + slice()) * LANES + gl_SubgroupInvocationID;
            if (at >= SHAPE_M * rowQuads) break;
            const uint row = waveRow() + m * SHAPE_M + at / rowQuads, column = waveColumn() + at % rowQuads * 4;
            const uint from = first + at / rowQuads * RESULT_PITCH + at % rowQuads;
            uvec4 raw = quads[from];
            [[unroll]] for (uint s = 1; s < SLICES; ++s) raw += quads[from + s * ofSlice];  // the sums of integers
            store(tileRow + row, tileColumn + column, finished(raw, row, column));
        }
    }
}

void main() {
    if (AHEAD) findLoads();
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
    if (!ONE_GROUP) {
        [[unroll]] for (uint i = 0; i < FRAGS_M * FRAGS_N; ++i) results[i] = RESULT_MATRIX(0.0);
    }
    clearSums();
    storeColumns(0);
    storeStep(0, 0);
    loadStep(0, DEPTH * STEP);
    barrier();

    uint group = 0, side = 0;
    if (AHEAD) loadSet(0, 0, 0);
    for (uint first = 0; first < push.blocks; first += DEPTH * STEP) {
        [[unroll]] for (uint i = 0; i < DEPTH; ++i) {
            const uint block = first + i * STEP, next = block + STEP, slot = (i + 1) % DEPTH;
            const bool groupEnds = !ONE_GROUP && block < push.blocks && (next >= push.blocks || next % push.groupBlocks == 0);
            const bool groupFollows = groupEnds && next < push.blocks;
            if (groupFollows) loadColumns(group + 1);
            if (AHEAD) {
                multiplyStepAhead(i, side, slot);
                loadStep(slot, next + DEPTH * STEP);
                if (groupEnds) finishGroup(group);
            } else {
                multiplyStep(side);
                if (groupEnds) finishGroup(group);
                storeStep(slot, side ^ 1);
                loadStep(slot, next + DEPTH * STEP);
            }
            if (groupFollows) storeColumns(++group);
            if (!AHEAD) barrier();
            side ^= 1;
        }
    }
    if (AHEAD) barrier();  // the last set that was asked for is read
    storeResults();
}
