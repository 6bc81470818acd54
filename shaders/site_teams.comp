// The input of a site in one dispatch for GPUs: the arithmetic of site_codes.comp, with the blocks of a row divided among
// workgroups, so that a row's transform is read by many multiprocessors at once.
//
// Buffers   0 x float32 [M, K], for SwiGLU [M, 2K]; 1 tables: blocks as in block_transform.comp, behind them floats as in
//           site_codes.comp; 2 rows as in quantise_rows.comp; 3 counters and float32 [M, K] behind them, see Teams. (Two and two
//           share a buffer, since BASE has four.)
// Mapping   WorkGroupID.y is the row, x a team: it takes SHARE blocks of the row, an invocation one output of them.
// Latency   is what a row costs: some round trips to memory, one after the other. So all loads whose addresses are known (the row
//           for the norm, the invocation's inputs, its weights, the mix's matrix) are under way before the first wait, and
//           reductions take two rounds of few values instead of one of many or of a tree.
// Teams     When a row has several, each counts itself in the row's counter when its blocks are written; the last one to come
//           does mix and codes, and sets the count back to 0. None waits for another. How many there are is asked of the
//           dispatch, which so never runs in parts: a count that waits for parts to come could be left behind
// Mix       acts across blocks and leaves the position in them alone. Its Hadamard is of order LOW * HIGH, in two steps that lie in
//           registers. First an invocation takes LOW elements of one position and all their inputs to the dense mix, straight
//           from memory, where neighbours lie side by side. Then it takes HIGH elements of four positions, whose
//           codes are whole words. Between them a row goes once through shared memory, which need not hold it: it goes in SLICES of
//           positions, each written and read by the invocations that have it.
// Rounding  as in the single kernels, but that the norm's squares are summed by other invocations.
// Requires  SHARE * BLOCK <= LANES, 8 divides BLOCK, 32 and BLOCK divide WIDTH; 4 SLICES divides STRIDE; 16 divides LANES, or
//           32 where it is above 256.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

#include "interface/quantise_rows.h"
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WIDTH = 64;  // K
layout(constant_id = 2) const uint SOURCE = kSourceRows;
layout(constant_id = 3) const uint BLOCK = 64;
layout(constant_id = 4) const uint CORE = 1;     // order of the dense mix
layout(constant_id = 5) const uint STRIDE = 64;  // of the dense mix
layout(constant_id = 6) const uint LOW = 1;      // powers of two; their product is the order of the Hadamard mix
layout(constant_id = 7) const uint HIGH = 1;
layout(constant_id = 8) const uint FORMAT = kFormatA8;
layout(constant_id = 9) const uint SHARE = 1;
layout(constant_id = 10) const uint SLICES = 1;
const uint LANES = gl_WorkGroupSize.x;
const uint QUADS = WIDTH / 4;
const uint OUTPUTS = SHARE * BLOCK;  // of a team
const bool ALONE = OUTPUTS >= WIDTH;  // a row has one team
const bool WIDE = true;

#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
READ_ROWS(1, Tables, tables)
layout(set = 0, binding = 1, std430) readonly buffer Blocks { uvec4 blocks[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Rows { uint rows[]; };
layout(set = 0, binding = 3, std430) coherent buffer Between {
    uint arrivals[kSiteCounters];
    float scratch[];
};
layout(push_constant) uniform Push { SiteTeamsPush push; };

#include "lib/exp.glsl"
#include "lib/float_words.glsl"
#include "lib/quantiser.glsl"

const uint FLOATS = WIDTH * (BLOCK / 2);  // where the tables' floats begin
const uint MATRIX = FLOATS + (SOURCE == kSourceNorm ? WIDTH : 0);
const uint PADDED = (CORE + 7) / 8 * 8;  // a row of the mix's matrix
const uint FACTORS = CORE > 1 ? CORE * PADDED / 4 : 1;
const uint SLICE = WIDTH / SLICES;
const uint FEW = LANES <= 256 ? 16 : 32;

shared vec4 values[(SLICE > OUTPUTS ? SLICE : OUTPUTS) / 4];  // a team's inputs; then a slice of the row
shared vec4 matrix[FACTORS];
shared vec2 partial[LANES];
shared vec2 fewer[FEW];
shared uint before;  // teams that came before this one

uint lane;

vec2 joined(vec2 a, vec2 b, const bool add) { return add ? a + b : max(a, b); }

// The sum or the maximum of what all invocations have.
vec2 ofAll(vec2 own, const bool add) {
    partial[lane] = own;
    barrier();
    if (lane < FEW) {
        vec2 some = partial[lane];
        [[unroll]] for (uint l = FEW; l < LANES; l += FEW) some = joined(some, partial[l + lane], add);
        fewer[lane] = some;
    }
    barrier();
    vec2 all = fewer[0];
    [[unroll]] for (uint l = 1; l < FEW; ++l) all = joined(all, fewer[l], add);
    return all;
}

const uint NORM_ROUNDS = SOURCE == kSourceNorm ? (QUADS + LANES - 1) / LANES : 1;
const uint FACTOR_ROUNDS = (FACTORS + LANES - 1) / LANES;
vec4 rowQuads[NORM_ROUNDS];
vec4 factorQuads[FACTOR_ROUNDS];
uvec4 weights[BLOCK / 8];
float input_, other;  // gate and up, or a row's value and gamma

void startLoads(uint row, uint column) {
    if (SOURCE == kSourceNorm) {
        [[unroll]] for (uint i = 0; i < NORM_ROUNDS; ++i) {
            const uint quad = i * LANES + lane;
            rowQuads[i] = QUADS % LANES == 0 || quad < QUADS ? LOADWIDE(x, row * WIDTH, quad) : vec4(0);
        }
    }
    if (SOURCE == kSourceSwiGlu) {
        input_ = x[row * 2 * WIDTH + column];
        other = x[row * 2 * WIDTH + WIDTH + column];
    } else {
        input_ = x[row * WIDTH + column];
        if (SOURCE == kSourceNorm) other = tables[FLOATS + column];
    }
    // Those without an output would have read another team's.
    if (OUTPUTS == LANES || lane < OUTPUTS) {
        [[unroll]] for (uint word = 0; word < BLOCK / 8; ++word) weights[word] = blocks[word * WIDTH + column];
    }
    if (CORE > 1) {
        [[unroll]] for (uint i = 0; i < FACTOR_ROUNDS; ++i) {
            factorQuads[i] = LOADWIDE(tables, MATRIX, min(i * LANES + lane, FACTORS - 1));
        }
    }
}

float transformInput() {
    if (SOURCE == kSourceSwiGlu) return input_ / (1.0 + expAccurate(-input_)) * other;
    if (SOURCE != kSourceNorm) return input_;
    vec4 squares = vec4(0);
    [[unroll]] for (uint i = 0; i < NORM_ROUNDS; ++i) squares += rowQuads[i] * rowQuads[i];
    const float sum = ofAll(vec2((squares.x + squares.y) + (squares.z + squares.w), 0), true).x;
    return input_ * (1.0 / sqrt(sum / float(WIDTH) + push.epsilon)) * other;
}

void transformBlocks(uint row) {
    const uint n = gl_WorkGroupID.x * OUTPUTS + lane;
    const uint column = WIDTH % OUTPUTS == 0 && OUTPUTS == LANES ? n : min(n, WIDTH - 1);
    startLoads(row, column);
    const float value = transformInput();
    const bool owns = OUTPUTS == LANES || lane < OUTPUTS;
    if (owns) values[lane / 4][lane % 4] = value;
    if (CORE > 1) {
        [[unroll]] for (uint i = 0; i < FACTOR_ROUNDS; ++i) {
            if (i * LANES + lane < FACTORS) matrix[i * LANES + lane] = factorQuads[i];
        }
    }
    barrier();
    if (!owns) return;
    const uint first = lane / BLOCK * (BLOCK / 4);
    float sum = 0;
    [[unroll]] for (uint word = 0; word < BLOCK / 8; ++word) {
        const vec4 a = values[first + 2 * word];
        const vec4 b = values[first + 2 * word + 1];
        const vec4 low = fourHalves(weights[word].xy, 1);
        const vec4 high = fourHalves(weights[word].zw, 1);
        [[unroll]] for (uint j = 0; j < 4; ++j) sum += a[j] * low[j];
        [[unroll]] for (uint j = 0; j < 4; ++j) sum += b[j] * high[j];
    }
    if (WIDTH % OUTPUTS == 0 || n < WIDTH) scratch[row * WIDTH + n] = sum;
}

// True for the team that finds the blocks of the whole row written.
bool lastTeam(uint row) {
    memoryBarrierBuffer();
    barrier();
    if (ALONE) return true;
    // For what all invocations wrote, and by all of them: Metal, to which some drivers translate, knows no barrier of one.
    memoryBarrierBuffer();
    if (lane == 0) before = atomicAdd(arrivals[row], 1);
    memoryBarrierBuffer();
    barrier();
    memoryBarrierBuffer();
    return before == gl_NumWorkGroups.x - 1;
}

const uint UNIT = CORE * STRIDE;  // between elements of the Hadamard mix
const uint POWER = LOW * HIGH;
const uint OUTER = WIDTH / (UNIT * POWER);
const uint WITHIN = STRIDE / SLICES;  // positions of a slice

// Butterflies of `order` neighbours, a power of two up to 32. The strides stand here by themselves: drivers unroll no loop that
// doubles its counter, and would then look for each element at run time.
#define BUTTERFLY(Value, at, count, order, h)           \
    if (h < (order)) {                                  \
        [[unroll]] for (uint v = 0; v < (count); ++v) { \
            if ((v & h) == 0) {                         \
                const Value a = at[v], b = at[v | h];   \
                at[v] = a + b;                          \
                at[v | h] = a - b;                      \
            }                                           \
        }                                               \
    }
#define BUTTERFLIES(Value, at, count, order) \
    BUTTERFLY(Value, at, count, order, 1)    \
    BUTTERFLY(Value, at, count, order, 2)    \
    BUTTERFLY(Value, at, count, order, 4)    \
    BUTTERFLY(Value, at, count, order, 8)    \
    BUTTERFLY(Value, at, count, order, 16)

// First step. An item is one position of LOW elements and up to 8 outputs of the dense mix.
const uint TILE = CORE < 8 ? CORE : 8;
const uint TILES = (CORE + TILE - 1) / TILE;
const uint SLICE_ITEMS = OUTER * TILES * HIGH * WITHIN;
const uint ITEMS = (SLICES * SLICE_ITEMS + LANES - 1) / LANES;  // of an invocation
const uint VALUES = TILE * LOW;                                 // of an item, output by output
const uint AT_ONCE = CORE <= 16 ? CORE : 16;  // inputs of the dense mix that are loaded before the first is used
float sums[ITEMS * VALUES];

struct Item {
    uint slice, position, tile;
    uint element;  // of the Hadamard mix, LOW elements from it on
};
Item itemOf(uint index) {
    const uint rest = index % SLICE_ITEMS;
    const uint above = rest / (WITHIN * HIGH);
    return Item(index / SLICE_ITEMS, rest % WITHIN, above % TILES, above / TILES * POWER + rest / WITHIN % HIGH * LOW);
}

uint firstElement(uint row, Item item) { return row * WIDTH + item.element * UNIT + item.slice * WITHIN + item.position; }

// Adds to all sums of the dense mix inputs begin .. begin + AT_ONCE - 1.
void addInputs(uint row, uint begin) {
    [[unroll]] for (uint k = 0; k < ITEMS; ++k) {
        const Item item = itemOf(min(k * LANES + lane, SLICES * SLICE_ITEMS - 1));
        const uint at = firstElement(row, item) + begin * STRIDE;
        float inputs[AT_ONCE * LOW];
        [[unroll]] for (uint l = 0; l < LOW; ++l) {
            [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) {
                inputs[j * LOW + l] = CORE <= AT_ONCE || begin + j < CORE ? scratch[at + l * UNIT + j * STRIDE] : 0.0;
            }
        }
        [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) {
            const uint factors = (CORE <= AT_ONCE ? j : min(begin + j, CORE - 1)) * (PADDED / 4) + 2 * item.tile;
            [[unroll]] for (uint i = 0; i < TILE; ++i) {
                const float factor = matrix[factors + i / 4][i % 4];
                [[unroll]] for (uint l = 0; l < LOW; ++l) sums[k * VALUES + i * LOW + l] += factor * inputs[j * LOW + l];
            }
        }
    }
}

void mixDense(uint row) {
    [[unroll]] for (uint v = 0; v < ITEMS * VALUES; ++v) sums[v] = 0;
    if (CORE <= AT_ONCE) {
        addInputs(row, 0);
    } else {
        for (uint begin = 0; begin < CORE; begin += AT_ONCE) addInputs(row, begin);
    }
}

void firstStep(uint row) {
    if (CORE > 1) {
        mixDense(row);
    } else {
        [[unroll]] for (uint k = 0; k < ITEMS; ++k) {
            const uint at = firstElement(row, itemOf(min(k * LANES + lane, SLICES * SLICE_ITEMS - 1)));
            [[unroll]] for (uint l = 0; l < LOW; ++l) sums[k * LOW + l] = scratch[at + l * UNIT];
        }
    }
    BUTTERFLIES(float, sums, ITEMS * VALUES, LOW)
}

// Second step. An item is four positions of HIGH elements that lie RUN quads of the slice apart.
const uint RUN = LOW * CORE * WITHIN / 4;
const uint SLICE_QUADS = OUTER * RUN;
const uint QUAD_ITEMS = (SLICES * SLICE_QUADS + LANES - 1) / LANES;  // of an invocation
vec4 mixed[QUAD_ITEMS * HIGH];

uint firstQuad(uint index) {
    const uint rest = index % SLICE_QUADS;
    return rest / RUN * (HIGH * RUN) + rest % RUN;
}

void exchange() {
    for (uint slice = 0; slice < SLICES; ++slice) {
        if (slice > 0) barrier();  // the one before is read
        [[unroll]] for (uint k = 0; k < ITEMS; ++k) {
            const Item item = itemOf(k * LANES + lane);
            if (item.slice == slice) {
                [[unroll]] for (uint v = 0; v < VALUES; ++v) {
                    const uint output_ = item.tile * TILE + v / LOW;
                    const uint to = ((item.element + v % LOW) * CORE + output_) * WITHIN + item.position;
                    if (CORE % TILE == 0 || output_ < CORE) values[to / 4][to % 4] = sums[k * VALUES + v];
                }
            }
        }
        barrier();
        [[unroll]] for (uint k = 0; k < QUAD_ITEMS; ++k) {
            const uint index = k * LANES + lane;
            if (index / SLICE_QUADS == slice) {
                [[unroll]] for (uint h = 0; h < HIGH; ++h) mixed[k * HIGH + h] = values[firstQuad(index) + h * RUN];
            }
        }
    }
}

void secondStep() {
    [[unroll]] for (uint v = 0; v < QUAD_ITEMS * HIGH; ++v) mixed[v] = vec4(0);
    exchange();
    BUTTERFLIES(vec4, mixed, QUAD_ITEMS * HIGH, HIGH)
    [[unroll]] for (uint v = 0; v < QUAD_ITEMS * HIGH; ++v) mixed[v] *= push.mixScale;
}

Quantiser rowQuantiser(out float scale) {
    vec4 least = vec4(0);
    vec4 most = vec4(0);
    [[unroll]] for (uint v = 0; v < QUAD_ITEMS * HIGH; ++v) {
        least = min(least, mixed[v]);
        most = max(most, mixed[v]);
    }
    const float low = min(min(least.x, least.y), min(least.z, least.w));
    const vec2 range = ofAll(vec2(-low, max(max(most.x, most.y), max(most.z, most.w))), false);
    return quantiserOf(vec2(-range.x, range.y), scale);
}

// Writes the codes of item k; returns their sum.
int writeItem(Quantiser quantiser, uint k, uint codes) {
    const uint index = k * LANES + lane;
    int sum = 0;
    [[unroll]] for (uint h = 0; h < HIGH; ++h) {
        uint word = 0;
        [[unroll]] for (uint e = 0; e < 4; ++e) {
            const int code = quantise(quantiser, mixed[k * HIGH + h][e]);
            sum += code;
            word |= (uint(code) & 0xFFu) << (8 * e);
        }
        const uint quad = firstQuad(index) + h * RUN;
        const uint slice = index / SLICE_QUADS;
        rows[codes + quad / (WITHIN / 4) * (STRIDE / 4) + slice * (WITHIN / 4) + quad % (WITHIN / 4)] = word;
    }
    return sum;
}

void writeCodes(uint row) {
    float scale;
    const Quantiser quantiser = rowQuantiser(scale);
    const uint header = row * (4 + WIDTH / 4);
    int sum = 0;
    [[unroll]] for (uint k = 0; k < QUAD_ITEMS; ++k) {
        const bool whole = SLICES * SLICE_QUADS % LANES == 0;
        if (whole || k * LANES + lane < SLICES * SLICE_QUADS) sum += writeItem(quantiser, k, header + 4);
    }
    // Exact as floats: below 2^24 for all K an integer layer takes.
    const float codeSum = ofAll(vec2(sum, 0), true).x;
    if (lane != 0) return;
    rows[header] = floatBitsToUint(scale);
    rows[header + 1] = uint(quantiser.zero);
    rows[header + 2] = uint(int(codeSum));
    rows[header + 3] = 0;
}

void main() {
    lane = gl_LocalInvocationID.x;
    const uint row = gl_WorkGroupID.y;
    transformBlocks(row);
    if (!lastTeam(row)) return;
    firstStep(row);
    secondStep();
    writeCodes(row);
    if (!ALONE && lane == 0) arrivals[row] = 0;
}
