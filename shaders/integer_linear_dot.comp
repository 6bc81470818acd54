// y = W x + b as in integer_linear.comp, for GPUs whose integer dot products are fast; for one row of x or a few.
//
// Buffers   as there, all of them storage buffers
// Mapping   an invocation owns row `lane` of TILE_N weight tiles and TILE_M rows of x. Workgroup x walks the weight tiles, y the
//           rows of x.
// Loads     UNROLL blocks of weights are asked for before the first is used: a GPU hides the latency of its memory only behind
//           many bytes under way. Activations are read where they are used, at addresses that LANES invocations share.
// AHEAD     while a batch of UNROLL blocks is multiplied the next one is under way, and activations are asked for with their
//           weights: on an H100, with half the splits, as fast as a kernel that does nothing but read. Only for one row and one
//           group: it takes the registers of more. A define, as SwiftShader compiles the dead code of constants as well.
// Splits    SPLITS times LANES invocations share a tile, as y has too few tiles to keep a GPU busy. In one group each takes a
//           part of K, and their integer sums are added in whatever order. Several groups are shared out in rounds: their terms
//           go to shared memory, and each output adds them in the order of the contract.
// Sums      4-bit weights enter as 16 q, see lib/integer_product_dot.glsl.
// Sizes     TILE_M, TILE_N, SPLITS, UNROLL and the groups of a round are specialisation constants.
// SCALARS   LANES is the subgroup size. A split is a subgroup and says so, by which a compiler with scalar registers sees that
//           its activations are the same for all lanes: AMD's loads them once, not once a lane.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_spirv_intrinsics : require
#ifdef SCALARS
#extension GL_KHR_shader_subgroup_basic : require
#endif

#include "interface/integer_linear.h"

#ifndef AHEAD
#define AHEAD false
#endif

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_M = 1;
layout(constant_id = 2) const uint TILE_N = 1;
layout(constant_id = 3) const uint SPLITS = 1;
layout(constant_id = 4) const uint UNROLL = 1;        // blocks
layout(constant_id = 5) const uint ROUND_GROUPS = 1;  // 1 where all of K is one group
layout(constant_id = 6) const uint WEIGHT_BITS = 4;
const uint LANES = gl_WorkGroupSize.x / SPLITS;
const uint SUMS = TILE_M * TILE_N;

#include "lib/integer_product_dot.glsl"

layout(push_constant) uniform Push { IntegerLinearPush push; };
layout(set = 0, binding = 0, std430) restrict readonly buffer Activations { uvec4 activations[]; };
layout(set = 0, binding = 1, std430) restrict readonly buffer Codes { uvec4 codes[]; };
layout(set = 0, binding = 2, std430) restrict readonly buffer Parameters { uvec4 parameters[]; };
layout(set = 0, binding = 3, std430) restrict buffer Y { float y[]; };

// What an invocation hands on: sums of one group, or terms of the groups of a round, each [SUMS][LANES].
const uint SHARES = SPLITS > ROUND_GROUPS ? SPLITS : ROUND_GROUPS;
shared uint shares[SPLITS > 1 ? SHARES * SUMS * LANES : 1];

uint lane;
uint split;
uint rowWord[TILE_M];    // the row's header; its codes follow
uint firstUnit[TILE_N];  // of each weight tile, for this lane
const uint BATCHES = AHEAD ? 2 : 1;  // in registers
uvec4 units[BATCHES * UNROLL * UNITS_OF_BLOCK * TILE_N];
uvec4 inputs[AHEAD ? BATCHES * UNROLL * 2 * TILE_M : 1];
int sums[SUMS];
float results[SUMS];

uvec4 activationsOf(uint m, uint block, uint part) { return activations[rowWord[m] + 1 + 2 * block + part]; }

void loadBlock(uint slot, uint block) {
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        [[unroll]] for (uint part = 0; part < UNITS_OF_BLOCK; ++part)
            units[(slot * TILE_N + n) * UNITS_OF_BLOCK + part] = codes[firstUnit[n] + (block * UNITS_OF_BLOCK + part) * LANES];
    }
}

void loadInputs(uint slot, uint block) {
    if (!AHEAD) return;
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        [[unroll]] for (uint part = 0; part < 2; ++part) inputs[(slot * 2 + part) * TILE_M + m] = activationsOf(m, block, part);
    }
}

void multiplyBlock(uint slot, uint block) {
    [[unroll]] for (uint part = 0; part < 2; ++part) {
        uint w[TILE_N * OPERANDS];
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            uint operands[OPERANDS];
            weightOperands(units[(slot * TILE_N + n) * UNITS_OF_BLOCK + part * (UNITS_OF_BLOCK - 1)], part, operands);
            [[unroll]] for (uint i = 0; i < OPERANDS; ++i) w[n * OPERANDS + i] = operands[i];
        }
        [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
            const uvec4 x = AHEAD ? inputs[(slot * 2 + part) * TILE_M + m] : activationsOf(m, block, part);
            [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
                [[unroll]] for (uint i = 0; i < OPERANDS; ++i)
                    sums[m * TILE_N + n] += product(w[n * OPERANDS + i], x[i]);
            }
        }
    }
}

void loadBatch(uint batch, uint block) {
    [[unroll]] for (uint u = 0; u < UNROLL; ++u) loadBlock(batch * UNROLL + u, block + u);
    [[unroll]] for (uint u = 0; u < UNROLL; ++u) loadInputs(batch * UNROLL + u, block + u);
}

void multiplyBatch(uint batch, uint block) {
    [[unroll]] for (uint u = 0; u < UNROLL; ++u) multiplyBlock(batch * UNROLL + u, block + u);
}

void multiplyBlocks(uint block, uint end) {
    [[unroll]] for (uint i = 0; i < SUMS; ++i) sums[i] = 0;
    if (AHEAD) {
        if (block + UNROLL <= end) loadBatch(0, block);
        for (; block + UNROLL <= end; block += 2 * UNROLL) {
            if (block + 2 * UNROLL <= end) loadBatch(1, block + UNROLL);
            multiplyBatch(0, block);
            if (block + 2 * UNROLL > end) {
                block += UNROLL;
                break;
            }
            if (block + 3 * UNROLL <= end) loadBatch(0, block + 2 * UNROLL);
            multiplyBatch(1, block + UNROLL);
        }
    } else {
        for (; block + UNROLL <= end; block += UNROLL) {
            loadBatch(0, block);
            multiplyBatch(0, block);
        }
    }
    for (; block < end; ++block) {
        loadBlock(0, block);
        loadInputs(0, block);
        multiplyBlock(0, block);
    }
}

// {scale, code sum} of a group, or {bias, 0} for group == push.groups.
uvec2 parameterOf(uint n, uint group) {
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    const uint tile = min(gl_WorkGroupID.x * TILE_N + n, tiles - 1);
    const uvec4 both = parameters[(tile / 2 * (push.groups + 1) + group) * LANES + lane];
    return tile % 2 == 0 ? both.xy : both.zw;
}

// Asked for with the weights, not after them: of a group, and of the end.
uvec2 scaleAndSum[TILE_N];
uvec2 bias[TILE_N];
uvec4 header[TILE_M];

void loadGroup(uint group) {
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) scaleAndSum[n] = parameterOf(n, group);
}

// What the sums of a group add to a result.
float termOf(uint i) {
    const int correction = int(header[i / TILE_N].y) * int(scaleAndSum[i % TILE_N].y);
    precise float term = float((sums[i] >> SUM_SHIFT) - correction) * uintBitsToFloat(scaleAndSum[i % TILE_N].x);
    return term;
}

void addTerm(uint i, float term) {
    precise float result = results[i] + term;
    results[i] = result;
}

void storeResult(uint i) {
    const uint row = push.firstRow + gl_WorkGroupID.y * TILE_M + i / TILE_N;
    const uint column = (gl_WorkGroupID.x * TILE_N + i % TILE_N) * LANES + lane;
    if (row >= push.rows || column >= push.panelRows) return;
    precise float value = results[i] * uintBitsToFloat(header[i / TILE_N].x);
    value = value + uintBitsToFloat(bias[i % TILE_N].x);
    const uint index = row * push.outputs + push.firstOutput + column;
    if (push.accumulate != 0) value = value + y[index];
    y[index] = value;
}

uvec2 blocksOfGroup(uint group) {
    return uvec2(group * push.groupBlocks, min((group + 1) * push.groupBlocks, push.blocks));
}

void shareGroup() {
    loadGroup(0);
    const uint batches = (push.blocks + UNROLL - 1) / UNROLL;
    multiplyBlocks(batches * split / SPLITS * UNROLL, min(batches * (split + 1) / SPLITS * UNROLL, push.blocks));
    [[unroll]] for (uint i = 0; i < SUMS; ++i) shares[(split * SUMS + i) * LANES + lane] = uint(sums[i]);
    barrier();
    [[unroll]] for (uint i = 0; i < SUMS; ++i) {
        if (i % SPLITS != split) continue;
        sums[i] = 0;
        for (uint other = 0; other < SPLITS; ++other) sums[i] += int(shares[(other * SUMS + i) * LANES + lane]);
        addTerm(i, termOf(i));
        storeResult(i);
    }
}

void shareGroups() {
    for (uint first = 0; first < push.groups; first += ROUND_GROUPS) {
        const uint count = min(ROUND_GROUPS, push.groups - first);
        if (first > 0) barrier();
        for (uint group = count * split / SPLITS; group < count * (split + 1) / SPLITS; ++group) {
            const uvec2 blocks = blocksOfGroup(first + group);
            loadGroup(first + group);
            multiplyBlocks(blocks.x, blocks.y);
            [[unroll]] for (uint i = 0; i < SUMS; ++i) shares[(group * SUMS + i) * LANES + lane] = floatBitsToUint(termOf(i));
        }
        barrier();
        [[unroll]] for (uint i = 0; i < SUMS; ++i) {
            if (i % SPLITS != split) continue;
            for (uint group = 0; group < count; ++group) addTerm(i, uintBitsToFloat(shares[(group * SUMS + i) * LANES + lane]));
        }
    }
    [[unroll]] for (uint i = 0; i < SUMS; ++i) {
        if (i % SPLITS == split) storeResult(i);
    }
}

void main() {
#ifdef SCALARS
    split = gl_SubgroupID;
    lane = gl_SubgroupInvocationID;
#else
    split = gl_LocalInvocationID.x / LANES;
    lane = gl_LocalInvocationID.x % LANES;
#endif
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    [[unroll]] for (uint n = 0; n < TILE_N; ++n)
        firstUnit[n] = min(gl_WorkGroupID.x * TILE_N + n, tiles - 1) * push.blocks * UNITS_OF_BLOCK * LANES + lane;
    [[unroll]] for (uint m = 0; m < TILE_M; ++m)
        rowWord[m] = min(push.firstRow + gl_WorkGroupID.y * TILE_M + m, push.rows - 1) * (1 + 2 * push.blocks);
    [[unroll]] for (uint i = 0; i < SUMS; ++i) results[i] = 0;
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) header[m] = activations[rowWord[m]];
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) bias[n] = parameterOf(n, push.groups);

    if (SPLITS > 1 && push.groups == 1) {
        shareGroup();
    } else if (SPLITS > 1) {
        shareGroups();
    } else {
        for (uint group = 0; group < push.groups; ++group) {
            const uvec2 blocks = blocksOfGroup(group);
            loadGroup(group);
            multiplyBlocks(blocks.x, blocks.y);
            [[unroll]] for (uint i = 0; i < SUMS; ++i) addTerm(i, termOf(i));
        }
        [[unroll]] for (uint i = 0; i < SUMS; ++i) storeResult(i);
    }
}
