// A site's input with blocks and tiles in registers; for site_codes.comp with ADDRESS, where IN_REGISTERS says that its
// shape suits: LANES divides 32, 32 divides BLOCK, BLOCK divides WIDTH, and the mix is a Hadamard mix as lib/tile_codes.glsl
// needs it.
// Needs: what site_codes.comp declares. Gives: void writeSite(uint row).
// Loops: see lib/tile_codes.glsl.

const uint CORE = 1;
const uint STRIDE = IN_REGISTERS ? MIX_STRIDE : WIDTH;
const uint POWER = IN_REGISTERS ? MIX_ORDER : 1;
const uint TILE = 1;
#define MIX_SCALE push.mixScale
#include "lib/tile_codes.glsl"

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer WrittenQuads { vec4 at[]; };
// [M, K] float32, what the blocks leave of a row. Not in shared memory: its loads do not join.
layout(set = 0, binding = 4, std430) coherent buffer Scratch { float scratch[]; };
const uint OUTPUTS = IN_REGISTERS ? BLOCK / LANES : 1;  // vectors of a block's outputs
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
float writtenAt(uvec2 at, uint first) {
    VALUE_AT(WrittenQuads, value, at, first)
    return value;
}

// Inputs first .. first + STEP - 1 of the row.
void holdInputs(uint row, uint first, float factor) {
    const uint rowWidth = SOURCE == kSourceSwiGlu ? 2 * WIDTH : WIDTH;
    const uvec2 at = advance(uvec2(push.inputsLow, push.inputsHigh), (row * rowWidth + first) * 4);
    const uvec2 up = advance(at, WIDTH * 4);
    const uvec2 gamma = advance(uvec2(push.gammaLow, push.gammaHigh), first * 4);
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

uvec2 writtenRow;

void loadTile(uint column, uint firstOutput) {
    const uvec2 at = advance(writtenRow, column * 4);
    [[unroll]] for (uint o = 0; o < POWER; ++o) v[o] = writtenAt(at, o * APART);
}

void writeSite(uint row) {
    const float factor = SOURCE == kSourceNorm ? rowFactor(row * WIDTH) : 1.0;
    uint first = 0;
    ALWAYS do {
        transformBlock(row, first, factor);
        first += BLOCK;
    } while (first < WIDTH);
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
    writtenRow = advance(uvec2(push.scratchLow, push.scratchHigh), row * WIDTH * 4);
    writeTileCodes(row);
}
