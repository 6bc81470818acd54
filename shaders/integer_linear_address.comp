// y = W x + b as in integer_linear.comp for 4-bit weights, on drivers where loads from addresses that all lanes share are
// scalar loads, and scalar loads of neighbouring words that go to neighbouring lanes become one vector load: llvmpipe of
// newer Mesa. A block's weights then cost a few instructions, where a texel fetch costs tens of cycles.
//
// Buffers   0 activations, 1 codes, 2 parameters: read through their addresses in the push constants, since loads through
//           descriptors check bounds, word by word; 3 y. As in integer_linear.comp, but for codes and parameters in the
//           order of words, see kernels/linear_weights.h.
// Mapping   as there: an invocation owns row `lane` of TILE_N weight tiles and TILE_M rows of x
// Lanes     word i of a row's block lies in lane i and is prepared there; its two pairs go round by shuffles
// Loops     llvmpipe walks the rest of a loop's body once more with no lane active, and a scalar load has no mask: so loops end
//           where they are tested, and no address lies past its buffer even then.
// Sizes     TILE_M is a specialisation constant: these drivers unroll, and keep arrays in registers
// Requires  subgroups of LANES = 8 to 64, a power of two
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "interface/integer_linear.h"
#include "lib/integer_product_w4.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_M = 1;  // 1, 4 or 8
layout(constant_id = 2) const uint UNROLL = 1;  // blocks of one round: llvmpipe's loops cost some 60 cycles a round
layout(constant_id = 3) const bool WHOLE_GROUPS = false;  // a round is a group: no loop inside
#define TILE_N 4
#define MOST_ROWS 8
const uint LANES = gl_WorkGroupSize.x;
const uint WORDS = 8;  // of a row's block

layout(push_constant) uniform Push { IntegerLinearPush push; };
struct RowBlock { uvec4 words[2]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Row { uvec4 header; RowBlock blocks[]; };
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };

uint lane;
uint block;
uvec2 rowAt[MOST_ROWS];   // addresses of the rows of x
uvec2 tileAt[TILE_N];     // and of the weight tiles
uint even[MOST_ROWS];     // this lane's word of the block of each row: bytes 0 and 2 as a pair
uint odd[MOST_ROWS];      // bytes 1 and 3
uint sums[MOST_ROWS * TILE_N];
uint activationSums[MOST_ROWS];
float results[MOST_ROWS * TILE_N];

#include "lib/address_units.glsl"

void loadRows(uint at) {
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const RowBlock words = Row(rowAt[m]).blocks[at];
        uint word = 0;
        spread(word, words.words[0], 0);
        spread(word, words.words[1], 4);
        word = prepareActivations(uvec4(word)).x;
        even[m] = word & 0x00FF00FFu;
        odd[m] = (word >> 8) & 0x00FF00FFu;
        const uint pairs = even[m] + odd[m];
        activationSums[m] += (pairs & 0xFFFFu) + (pairs >> 16);
    }
}

uint w[TILE_N * OPERANDS];
uint x[OPERANDS];

uint products(uint n) {
    uint sum = product(w[n * OPERANDS], x[0]);
    [[unroll]] for (uint i = 1; i < OPERANDS; ++i) sum += product(w[n * OPERANDS + i], x[i]);
    return productSum(sum);
}

// The operands of activationOperands() in lib/integer_product_w4.glsl.
void rowOperands(uint m, uint part) {
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        const uint source = 4 * part + i % 2 + i / 2 * 2;
        x[i / 2 * 4 + i % 2] = subgroupShuffle(even[m], source);
        x[i / 2 * 4 + i % 2 + 2] = subgroupShuffle(odd[m], source);
    }
}

void multiplyBlock() {
    const uint at = min(block, push.blocks - 1);
    loadRows(at);
    uvec4 units[TILE_N];
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) units[n] = unitAt(advance(tileAt[n], at * LANES * 16));
    [[unroll]] for (uint part = 0; part < 2; ++part) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            uint operands[OPERANDS];
            weightOperands(units[n], part, operands);
            [[unroll]] for (uint i = 0; i < OPERANDS; ++i) w[n * OPERANDS + i] = operands[i];
        }
        [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
            rowOperands(m, part);
            [[unroll]] for (uint n = 0; n < TILE_N; ++n) sums[m * TILE_N + n] += products(n);
        }
    }
    ++block;
}

void multiplyRound() {
    [[unroll]] for (uint u = 0; u < UNROLL; ++u) multiplyBlock();
}

uvec4 parameterPair(uint index) { return unitAt(advance(uvec2(push.parametersLow, push.parametersHigh), (index - lane) * 16)); }
uvec4 rowHeader(uint m) { return Row(rowAt[m]).header; }
// Of the lanes that hold words. Shuffles, since llvmpipe adds lane by lane.
uint activationSum(uint m) {
    uint sum = activationSums[m];
    [[unroll]] for (uint step = 1; step < WORDS; step *= 2) sum += subgroupShuffleXor(sum, step);
    return subgroupShuffle(sum, 0);
}
#define HAS_ROW(m) ((m) < TILE_M)
#include "lib/integer_finish.glsl"

void main() {
    lane = gl_SubgroupInvocationID;
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        const uint tile = min(gl_WorkGroupID.x * TILE_N + n, tiles - 1);
        tileAt[n] = advance(uvec2(push.codesLow, push.codesHigh), tile * push.blocks * LANES * 16);
    }
    const uint firstRow = push.firstRow + gl_WorkGroupID.y * TILE_M;
    int zeros[MOST_ROWS];
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const uint row = min(firstRow + m, push.rows - 1);
        rowAt[m] = advance(uvec2(push.activationsLow, push.activationsHigh), row * (1 + 2 * push.blocks) * 16);
        zeros[m] = int(rowHeader(m).y);
    }
    [[unroll]] for (uint i = 0; i < MOST_ROWS * TILE_N; ++i) results[i] = 0;

    block = 0;
    for (uint group = 0; group < push.groups; ++group) {
        const uint groupEnd = min((group + 1) * push.groupBlocks, push.blocks);
        [[unroll]] for (uint i = 0; i < MOST_ROWS * TILE_N; ++i) sums[i] = 0;
        [[unroll]] for (uint m = 0; m < MOST_ROWS; ++m) activationSums[m] = 0;
        if (WHOLE_GROUPS) {
            multiplyRound();
        } else {
            if (UNROLL > 1 && block + UNROLL <= groupEnd) {
                do multiplyRound(); while (block + UNROLL <= groupEnd);
            }
            if (block < groupEnd) {
                do multiplyBlock(); while (block < groupEnd);
            }
        }
        finishGroup(group, zeros);
    }
    storeTile(firstRow);
}
