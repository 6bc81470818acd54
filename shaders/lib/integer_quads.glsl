// A block of 32 inputs on subgroups of four, for drivers without vector shifts (SwiftShader takes them apart, lane by lane:
// one costs as much as fifteen other operations). 4-bit weights, two products a multiplication as in integer_product_w4.glsl.
//
// Shifts    a pair of nibbles that lies 4j bits too high becomes a float, is scaled by 2^-4j and becomes an integer again:
//           exact, since it spans 20 bits. The pair that holds the sign bit comes back with its sign and is masked.
// Sums      activations stay signed: a pair is the number x0 + x1 2^16. A block's sum begins with -8 (1 + 2^16) times the
//           sum of its pairs, which takes the offset of the unsigned nibbles away, and ends as H 2^16 + L modulo 2^32 with
//           |L| <= 16 * 8 * 127 < 2^15 and |H| <= 32 * 8 * 127 < 2^15. So H 2^16 is the sum + 2^15 without its low half.
// Lanes     invocation l reads inputs 8l .. 8l + 7 of a block, prepares their four pairs once, and broadcasts them by
//           constant lanes, which is one instruction.
// Order     pair by pair over all tiles: sums, weights and one pair of activations are all that must stay in registers.
// Needs: TILE_M, TILE_N; halfWord(index): two words of activations; codeUnit; rowWord, firstUnit, word, unit, sums.
// Gives: CHUNK, loadChunk, multiplyBlock, activationSum, ACTIVATION_OFFSET, WEIGHT_OFFSET, SUM_SHIFT, UNITS_OF_BLOCK.

const uint UNITS_OF_BLOCK = 1;
const int ACTIVATION_OFFSET = 0;
const int WEIGHT_OFFSET = 0;
const int SUM_SHIFT = 0;
const uint CHUNK = 1;

uvec2 evenPairs[TILE_M];  // of this lane's 8 inputs: (0, 2) and (4, 6)
uvec2 oddPairs[TILE_M];   // (1, 3) and (5, 7)
uint pairSums[TILE_M];    // of the whole block

const float DOWN_4 = 0.0625;
const float DOWN_8 = 0.00390625;
const float DOWN_12 = 0.000244140625;
const float DOWN_16 = 0.0000152587890625;

uint down(uint value, float factor) { return uint(int(float(int(value)) * factor)); }
uvec2 down(uvec2 value, float factor) { return uvec2(ivec2(vec2(ivec2(value)) * factor)); }

void loadChunk(uint count) {
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const uvec2 words = halfWord(2 * rowWord[m] + word);
        const uvec2 even = ((words & 0x00FF00FFu) ^ 0x00800080u) - 0x00800080u;
        const uvec2 odd = down(((words & 0xFF00FF00u) ^ 0x00008000u) - 0x00008000u, DOWN_8);
        const uvec2 both = even + odd;
        pairSums[m] = subgroupAdd(both.x + both.y);
        evenPairs[m] = even;
        oddPairs[m] = odd;
    }
    word += 4;
}

// Not needed without offsets.
uint activationSum(uint m) { return 0; }

// One pair of weights of every tile, from `units[n].word` as the expression of `w` says, with that of invocation `from`.
#define MULTIPLY_PAIR(word, pairs, of, from, expression)                                                        \
    {                                                                                                           \
        uint pair[TILE_N];                                                                                      \
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {                                                          \
            const uint w = units[n].word;                                                                       \
            pair[n] = expression;                                                                               \
        }                                                                                                       \
        [[unroll]] for (uint m = 0; m < TILE_M; ++m) {                                                          \
            const uint x = subgroupBroadcast(pairs[m].of, from);                                                \
            [[unroll]] for (uint n = 0; n < TILE_N; ++n) part[m * TILE_N + n] += pair[n] * x;                   \
        }                                                                                                       \
    }
#define MULTIPLY_WORD(word, from)                                                                               \
    MULTIPLY_PAIR(word, evenPairs, x, from, w & 0x000F000Fu)                                                    \
    MULTIPLY_PAIR(word, evenPairs, y, from, down(w & 0x00F000F0u, DOWN_4))                                      \
    MULTIPLY_PAIR(word, oddPairs, x, from, down(w & 0x0F000F00u, DOWN_8))                                       \
    MULTIPLY_PAIR(word, oddPairs, y, from, down(w & 0xF000F000u, DOWN_12) & 0x000F000Fu)

void multiplyBlock() {
    uvec4 units[TILE_N];
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) units[n] = codeUnit(firstUnit[n] + unit);
    unit += LANES;
    uint part[TILE_M * TILE_N];
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) part[m * TILE_N + n] = 0x8000u - 0x00080008u * pairSums[m];
    }
    MULTIPLY_WORD(x, 0)
    MULTIPLY_WORD(y, 1)
    MULTIPLY_WORD(z, 2)
    MULTIPLY_WORD(w, 3)
    [[unroll]] for (uint i = 0; i < TILE_M * TILE_N; ++i) sums[i] += down(part[i] & 0xFFFF0000u, DOWN_16);
}
