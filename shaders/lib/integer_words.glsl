// A tile of y = W x + b for 4-bit weights in the order of words, see integer_linear_address.comp for how.
// Needs: interface/integer_linear.h, lib/integer_product_w4.glsl, lib/address_units.glsl; const uint LANES, TILE_M (1, 4 or 8),
//        UNROLL, blocks of a round, and const bool WHOLE_GROUPS, whether a round is a group; TILE_N and MOST_ROWS >= TILE_M,
//        numbers; uint lane; IntegerLinearPush push; y[] or macros as lib/integer_finish.glsl; ROW_ACCESS: coherent where the
//        rows of x are written in the same dispatch, else readonly.
// Gives: multiplyTile(firstRow): rows firstRow .. firstRow + TILE_M - 1 of the weight tiles of the workgroup, or of TILE_GROUP.

const uint WORDS = 8;  // of a row's block
struct RowBlock { uvec4 words[2]; };
layout(buffer_reference, std430, buffer_reference_align = 16) ROW_ACCESS buffer Row { uvec4 header; RowBlock blocks[]; };

uint block;
uvec2 xAt[MOST_ROWS];     // addresses of the rows of x
uvec2 tileAt[TILE_N];     // and of the weight tiles
uint even[MOST_ROWS];     // this lane's word of the block of each row: bytes 0 and 2 as a pair
uint odd[MOST_ROWS];      // bytes 1 and 3
uint sums[MOST_ROWS * TILE_N];
uint activationSums[MOST_ROWS];
float results[MOST_ROWS * TILE_N];

void loadRows(uint at) {
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const RowBlock words = Row(xAt[m]).blocks[at];
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
uvec4 rowHeader(uint m) { return Row(xAt[m]).header; }
// Of the lanes that hold words. Shuffles, since llvmpipe adds lane by lane.
uint activationSum(uint m) {
    uint sum = activationSums[m];
    [[unroll]] for (uint step = 1; step < WORDS; step *= 2) sum += subgroupShuffleXor(sum, step);
    return subgroupShuffle(sum, 0);
}
#define HAS_ROW(m) ((m) < TILE_M)
#include "lib/integer_finish.glsl"

void multiplyTile(uint firstRow) {
    const uint tiles = (push.panelRows + LANES - 1) / LANES;
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
        const uint tile = min(TILE_GROUP * TILE_N + n, tiles - 1);
        tileAt[n] = advance(uvec2(push.codesLow, push.codesHigh), tile * push.blocks * LANES * 16);
    }
    int zeros[MOST_ROWS];
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const uint row = min(firstRow + m, push.rows - 1);
        xAt[m] = advance(uvec2(push.activationsLow, push.activationsHigh), row * (1 + 2 * push.blocks) * 16);
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
