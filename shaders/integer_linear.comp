// y = W x + b with integer weights and quantised activations, exact integer sums; host side: kernels/integer_linear.h.
//
//     y[m,n] = s_x[m] * sum_g s_w[n,g] * (sum_{k in g} q[n,k] c[m,k] - z[m] * codeSum[n,g]) + b[n]  (+ y[m,n])
//
// Buffers   0 activations  quantised rows: header {scale, zero, code sum, 0}, then Kp / 4 words of int8 codes
//           1 codes        uvec4 [tiles][units][LANES], see kernels/linear_weights.h
//           2 parameters   uvec4 [pairs of tiles][groups + 1][LANES]: {scale, code sum} of both tiles; at the end of
//                          a pair their {bias, 0}
//           3 y            float [M][outputs]
// Mapping   an invocation owns row `lane` of TILE_N weight tiles and TILE_M rows of x: TILE_M x TILE_N sums in
//           registers and no shared memory. Workgroup x walks the weight tiles, y the rows of x.
// K         groups, in a group blocks of 32 weights; half a block is 16 activations, one 128-bit word.
// SUBGROUP  LANES is the subgroup size. Each invocation reads one word of activations a row of x, LANES / 2 blocks
//           ahead, and the words go round by shuffles: a load costs llvmpipe 30 times a shuffle.
// TEXEL     activations, codes and parameters are texel buffers: llvmpipe turns a 128-bit fetch into plain vector
//           loads, but a storage-buffer load into a loop over the invocations.
// QUADS     subgroups of four on a driver without vector shifts: lib/integer_quads.glsl does the blocks.
// SPLIT     of one row of x with one group: SPLITS subgroups of a workgroup share the blocks of K and add their integer
//           sums, in whatever order. A GPU has more subgroups to keep busy than y has tiles.
// Sums      w = q + WEIGHT_OFFSET, x = c + ACTIVATION_OFFSET are unsigned; undone in finishGroup:
//           sum q c = sum w x - ACTIVATION_OFFSET * sum q - WEIGHT_OFFSET * sum x. Exact for K < 132,000.
// Tiles     TILE_M and TILE_N are defines, not specialisation constants: SwiftShader unrolls no loops, so arrays over them
//           would stay in memory and take five times as long. It has no long texel buffers: with TEXEL, TILE_M is a constant.
// Requires  TILE_N is even; one group and one row where SPLITS > 1.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef QUADS
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#ifdef TEXEL
#define MOST_ROWS 8
#else
#define MOST_ROWS TILE_M
#endif
#if defined(SUBGROUP) && !defined(QUADS) && (defined(TEXEL) || TILE_M == 1)
#define SPLIT
#endif

#include "interface/integer_linear.h"
#if defined(QUADS)  // included where what it needs is declared
#elif WEIGHT_BITS == 4
#include "lib/integer_product_w4.glsl"
#else
#include "lib/integer_product_w8.glsl"
#endif

layout(local_size_x_id = 0) in;
#ifdef TEXEL
layout(constant_id = 3) const uint TILE_M = 1;
#define HAS_ROW(m) ((m) < TILE_M)
#else
#define HAS_ROW(m) true
#endif
#ifdef SPLIT
layout(constant_id = 2) const uint SPLITS = 1;  // subgroups of a workgroup
const uint LANES = gl_WorkGroupSize.x / SPLITS;
#else
const uint LANES = gl_WorkGroupSize.x;
#endif

layout(push_constant) uniform Push { IntegerLinearPush push; };

#ifdef TEXEL
layout(set = 0, binding = 0) uniform usamplerBuffer activations;
layout(set = 0, binding = 1) uniform usamplerBuffer codes;
layout(set = 0, binding = 2) uniform usamplerBuffer parameters;
uvec4 activationWord(uint index) { return texelFetch(activations, int(index)); }
uvec4 codeUnit(uint index) { return texelFetch(codes, int(index)); }
uvec4 parameterPair(uint index) { return texelFetch(parameters, int(index)); }
#else
layout(set = 0, binding = 0, std430) readonly buffer Activations { uvec4 activations[]; };
layout(set = 0, binding = 1, std430) readonly buffer Codes { uvec4 codes[]; };
layout(set = 0, binding = 2, std430) readonly buffer Parameters { uvec4 parameters[]; };
uvec4 activationWord(uint index) { return activations[index]; }
uvec4 codeUnit(uint index) { return codes[index]; }
uvec4 parameterPair(uint index) { return parameters[index]; }
#endif
#ifdef QUADS
layout(set = 0, binding = 0, std430) readonly buffer ActivationHalves { uvec2 activationHalves[]; };
uvec2 halfWord(uint index) { return activationHalves[index]; }
#endif
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };

uint lane;
uint rowWord[MOST_ROWS];      // the row's header; its codes follow
uint firstUnit[TILE_N];    // of each weight tile
// Where the walk along K stands. Counted on, not computed from the loops' counters: llvmpipe passes those through the
// execution mask, and every load of a block would wait for them.
uint word;                 // this lane's next word of a row's activations, from the header on (QUADS: half a word)
uint unit;                 // this lane's next unit of a weight tile
uint sums[MOST_ROWS * TILE_N];
uint activationSums[MOST_ROWS];
float results[MOST_ROWS * TILE_N];

#ifdef QUADS
#include "lib/integer_quads.glsl"
#else
#ifdef SUBGROUP
// For llvmpipe: the lane of a shuffle is the same for all, but must not look so. Newer ones would take each word out of its
// vector, through memory, only to spread it again, and a GEMM would take half as long again. On a GPU that is what is wanted.
layout(constant_id = 1) const bool HIDE_UNIFORMITY = false;

uint source;         // the lane that holds the first half of the current block
uvec4 held[MOST_ROWS];  // this lane's word of each row: lanes 2b and 2b + 1 hold block b of the chunk

void loadChunk(uint count) {
    const bool inside = lane < 2 * count;
    const uint at = inside ? word : 0;
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const uvec4 words = activationWord(rowWord[m] + at);
        held[m] = inside ? prepareActivations(words) : uvec4(0);
        activationSums[m] += byteSum(held[m]);
    }
    word += 2 * count;
    // Adds nothing, as accumulate is 0 or 1.
    source = HIDE_UNIFORMITY ? lane * (push.accumulate >> 1) : 0;
}
uvec4 halfBlock(uint m, uint part) { return subgroupShuffle(held[m], source + part); }
void nextBlock() {
    source += 2;
    unit += UNITS_OF_BLOCK * LANES;
}
uint activationSum(uint m) { return WEIGHT_OFFSET == 0 ? 0 : subgroupAdd(activationSums[m]); }
const uint CHUNK = LANES / 2;
#else
void loadChunk(uint count) {}
uvec4 halfBlock(uint m, uint part) {
    const uvec4 words = prepareActivations(activationWord(rowWord[m] + word + part));
    activationSums[m] += byteSum(words);
    return words;
}
void nextBlock() {
    word += 2;
    unit += UNITS_OF_BLOCK * LANES;
}
uint activationSum(uint m) { return activationSums[m]; }
const uint CHUNK = 1;
#endif

// Operands of the current half block. Private arrays, since an array handed to a function is copied, element by element,
// at each of the many places where the optimiser inlines it.
uint w[TILE_N * OPERANDS];
uint x[OPERANDS];

uint products(uint n) {
    uint sum = product(w[n * OPERANDS], x[0]);
    [[unroll]] for (uint i = 1; i < OPERANDS; ++i) sum += product(w[n * OPERANDS + i], x[i]);
    return productSum(sum);
}

void multiplyBlock() {
    uvec4 units[TILE_N];
    [[unroll]] for (uint part = 0; part < 2; ++part) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            if (part < UNITS_OF_BLOCK) {
                units[n] = codeUnit(firstUnit[n] + unit + part * LANES);
            }
            uint operands[OPERANDS];
            weightOperands(units[n], part, operands);
            [[unroll]] for (uint i = 0; i < OPERANDS; ++i) w[n * OPERANDS + i] = operands[i];
        }
        [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
            activationOperands(halfBlock(m, part), x);
            [[unroll]] for (uint n = 0; n < TILE_N; ++n) sums[m * TILE_N + n] += products(n);
        }
    }
    nextBlock();
}

#endif  // QUADS

uvec4 rowHeader(uint m) { return activationWord(rowWord[m]); }
#include "lib/integer_finish.glsl"

#ifdef SPLIT
const uint SHARED_SUMS = TILE_N + 1;
shared uint shares[SPLITS > 1 ? SPLITS * SHARED_SUMS * LANES : 1];

// Of `blocks` the share of a subgroup, in whole chunks: {first, end}.
uvec2 shareOf(uint split, uint blocks) {
    const uint chunks = (blocks + CHUNK - 1) / CHUNK;
    return min(uvec2(chunks * split, chunks * (split + 1)) / SPLITS * CHUNK, uvec2(blocks));
}
// The sums of all subgroups, in the first of them.
void addShares(uint split) {
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) shares[(split * SHARED_SUMS + n) * LANES + lane] = sums[n];
    shares[(split * SHARED_SUMS + TILE_N) * LANES + lane] = activationSums[0];
    barrier();
    if (split != 0) return;
    for (uint other = 1; other < SPLITS; ++other) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) sums[n] += shares[(other * SHARED_SUMS + n) * LANES + lane];
        activationSums[0] += shares[(other * SHARED_SUMS + TILE_N) * LANES + lane];
    }
}
#endif

void main() {
#ifdef SPLIT
    const uint split = SPLITS > 1 ? gl_SubgroupID : 0;
    lane = SPLITS > 1 ? gl_SubgroupInvocationID : gl_LocalInvocationID.x;
#else
    lane = gl_LocalInvocationID.x;
#endif
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        const uint tile = min(gl_WorkGroupID.x * TILE_N + n, tiles - 1);
        firstUnit[n] = tile * push.blocks * UNITS_OF_BLOCK * LANES;
    }
    unit = lane;
#if defined(QUADS)
    word = 2 + lane;
#elif defined(SUBGROUP)
    word = 1 + lane;
#else
    word = 1;
#endif
    const uint firstRow = push.firstRow + gl_WorkGroupID.y * TILE_M;
    int zeros[MOST_ROWS];
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        rowWord[m] = min(firstRow + m, push.rows - 1) * (1 + 2 * push.blocks);
        zeros[m] = int(rowHeader(m).y);
    }
    [[unroll]] for (uint i = 0; i < MOST_ROWS * TILE_N; ++i) results[i] = 0;

    for (uint group = 0; group < push.groups; ++group) {
        uint first = group * push.groupBlocks;
        uint groupEnd = min(first + push.groupBlocks, push.blocks);
#ifdef SPLIT
        if (SPLITS > 1) {
            const uvec2 share = shareOf(split, groupEnd);
            first = share.x;
            groupEnd = share.y;
            word += 2 * first;
            unit += first * UNITS_OF_BLOCK * LANES;
        }
#endif
        [[unroll]] for (uint i = 0; i < MOST_ROWS * TILE_N; ++i) sums[i] = 0;
        [[unroll]] for (uint m = 0; m < TILE_M; ++m) activationSums[m] = 0;
        for (; first < groupEnd; first += CHUNK) {
            const uint count = min(CHUNK, groupEnd - first);
            loadChunk(count);
#ifdef QUADS
            multiplyBlock();
#else
            // Rolled: with several blocks in flight llvmpipe's registers no longer suffice and a GEMV takes half as long again.
            for (uint block = 0; block < count; ++block) multiplyBlock();
#endif
        }
#ifdef SPLIT
        if (SPLITS > 1) {
            addShares(split);
            if (split != 0) return;
        }
#endif
        finishGroup(group, zeros);
    }

    storeTile(firstRow);
}
