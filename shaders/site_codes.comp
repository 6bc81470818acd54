// The input of a site in one dispatch, a workgroup a row: source (row, RMSNorm or SwiGLU), block transform, mix, codes.
//
// The same arithmetic in the same order as rms_norm, swiglu, block_transform, mix_dense, mix_hadamard and quantise_rows
// one after the other, whose headers hold the formulas; but a row stays in shared memory from end to end.
//
// Buffers   0 x       float32 [M, K], for SwiGLU [M, 2K]
//           1 floats  [K] gamma (norm only), then the mix's matrix as in mix_dense.comp (MIX_CORE > 1 only)
//           2 blocks  as in block_transform.comp (BLOCK > 0 only)
//           3 rows    as in quantise_rows.comp
// Mapping   invocations walk the row side by side; in the block transform an invocation owns outputs of a block, LANES
//           apart, and the Hadamard mix runs in passes of radix 4 and 2.
// SUBGROUP  LANES is the subgroup size: a block's inputs lie in registers and go round by shuffles.
// TEXEL     x, floats and blocks are texel buffers, see lib/rows4.glsl.
// Requires  WIDTH floats of shared memory, twice that when MIX_CORE > 1.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

#include "interface/quantise_rows.h"
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool WIDE = true;  // K and BLOCK are multiples of 4
layout(constant_id = 2) const uint WIDTH = 64;   // K
layout(constant_id = 3) const uint SOURCE = kSourceRows;
layout(constant_id = 4) const uint BLOCK = 0;  // 0: no block transform; at most WIDTH
layout(constant_id = 5) const uint MIX_CORE = 1;
layout(constant_id = 6) const uint MIX_STRIDE = 1;
layout(constant_id = 7) const uint MIX_ORDER = 1;  // of the Hadamard mix, a power of two
layout(constant_id = 8) const uint FORMAT = kFormatA8;
const uint LANES = gl_WorkGroupSize.x;
const uint QUADS = (WIDTH + 3) / 4;
const uint PADDED = QUADS * 4;

#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
READ_ROWS(1, Floats, floats)
layout(push_constant) uniform Push { SiteCodesPush push; };
#ifdef TEXEL
layout(set = 0, binding = 2) uniform usamplerBuffer blocks;
uvec4 blockWord(uint index) { return texelFetch(blocks, int(index)); }
#else
layout(set = 0, binding = 2, std430) readonly buffer Blocks { uvec4 blocks[]; };
uvec4 blockWord(uint index) { return blocks[index]; }
#endif
layout(set = 0, binding = 3, std430) writeonly buffer Rows { uint rows[]; };

#include "lib/exp.glsl"
#include "lib/float_words.glsl"
#include "lib/quantiser.glsl"

shared float values[PADDED * (MIX_CORE > 1 ? 2 : 1)];
shared vec2 partial[LANES];
shared int codeSums[LANES];

uint lane;

// 1 / sqrt(mean of squares + epsilon), summed in the order of rms_norm.comp.
float normFactor(uint base) {
    vec4 squares = vec4(0);
    for (uint i = lane; i < QUADS; i += LANES) {
        const vec4 v = LOAD4(x, base, i, WIDTH);
        squares += v * v;
    }
    partial[lane].x = (squares.x + squares.y) + (squares.z + squares.w);
    barrier();
    float sum = 0;
    for (uint l = 0; l < LANES; ++l) sum += partial[l].x;
    barrier();
    return 1.0 / sqrt(sum / float(WIDTH) + push.epsilon);
}

vec4 gatedQuad(uint row, uint i) {
    const vec4 gate = LOAD4(x, row * 2 * WIDTH, i, WIDTH);
    const vec4 up = LOAD4(x, row * 2 * WIDTH + WIDTH, i, WIDTH);
    const vec4 e = vec4(expAccurate(-gate.x), expAccurate(-gate.y), expAccurate(-gate.z), expAccurate(-gate.w));
    return gate / (1.0 + e) * up;
}

void loadSource(uint row) {
    const float factor = SOURCE == kSourceNorm ? normFactor(row * WIDTH) : 1.0;
    for (uint i = lane; i < QUADS; i += LANES) {
        vec4 v;
        if (SOURCE == kSourceSwiGlu) {
            v = gatedQuad(row, i);
        } else {
            v = LOAD4(x, row * WIDTH, i, WIDTH);
            if (SOURCE == kSourceNorm) v = v * factor * LOAD4(floats, 0, i, WIDTH);
        }
        [[unroll]] for (uint e = 0; e < 4; ++e) values[4 * i + e] = v[e];
    }
    barrier();
}

const uint OWN = (BLOCK + LANES - 1) / LANES;  // outputs of a block an invocation computes

#ifdef SUBGROUP
const uint HELD = ((BLOCK + 7) / 8 * 8 + LANES - 1) / LANES;
float held[HELD + 1];  // input j of the block is held[j / LANES] of lane j % LANES; zeros fill the last word of weights

void holdBlock(uint first, uint size) {
    [[unroll]] for (uint i = 0; i < HELD; ++i) {
        const uint j = i * LANES + lane;
        held[i] = j < size ? values[first + j] : 0.0;
    }
}
float blockInput(uint first, uint j) { return subgroupShuffle(held[j / LANES], j % LANES); }
#else
void holdBlock(uint first, uint size) {}
float blockInput(uint first, uint j) { return values[min(first + j, WIDTH - 1)]; }  // past the block its factor is 0
#endif

// Outputs n[0..3] at once: four sums that do not wait for each other, and each input is handed round once for them.
vec4 blockOutputs(uint first, uvec4 n, uint size) {
    vec4 sums = vec4(0);
    const uint words = (size + 7) / 8;
    [[unroll]] for (uint word = 0; word < (BLOCK + 7) / 8; ++word) {
        if (word < words) {
            vec4 low[4];
            vec4 high[4];
            [[unroll]] for (uint e = 0; e < 4; ++e) {
                low[e] = high[e] = vec4(0);
                if (e < OWN) {
                    const uvec4 w = blockWord(word * WIDTH + n[e]);
                    low[e] = fourHalves(w.xy, 1);
                    high[e] = fourHalves(w.zw, 1);
                }
            }
            [[unroll]] for (uint j = 0; j < 4; ++j) {
                const vec4 weights = vec4(low[0][j], low[1][j], low[2][j], low[3][j]);
                sums += blockInput(first, 8 * word + j) * weights;
            }
            [[unroll]] for (uint j = 0; j < 4; ++j) {
                const vec4 weights = vec4(high[0][j], high[1][j], high[2][j], high[3][j]);
                sums += blockInput(first, 8 * word + 4 + j) * weights;
            }
        }
    }
    return sums;
}

void transformBlocks() {
    for (uint first = 0; first < WIDTH; first += BLOCK) {
        const uint size = min(BLOCK, WIDTH - first);
        holdBlock(first, size);
#if defined(SUBGROUP) && !defined(ADDRESS)
        barrier();  // all inputs are held; outputs may overwrite them
        for (uint own = 0; own < OWN; own += 4) {
            const uvec4 n = (own + uvec4(0, 1, 2, 3)) * LANES + lane;
            const vec4 v = blockOutputs(first, first + min(n, uvec4(size - 1)), size);
            [[unroll]] for (uint e = 0; e < 4; ++e) {
                if (n[e] < size) values[first + n[e]] = v[e];
            }
        }
#else
        // ADDRESS: within the row also where no lane is active, see Loops in integer_linear_address.comp.
        vec4 outputs[(OWN + 3) / 4 + 1];
        for (uint own = 0; own < OWN; own += 4) {
            const uvec4 n = (own + uvec4(0, 1, 2, 3)) * LANES;
#ifdef ADDRESS
            outputs[own / 4] = blockOutputs(first, min(first + min(n, uvec4(size - LANES)), uvec4(WIDTH - LANES)), size);
#else
            outputs[own / 4] = blockOutputs(first, first + min(n + lane, uvec4(size - 1)), size);
#endif
        }
        barrier();  // all inputs are read
        for (uint own = 0; own < OWN; own += 4) {
            [[unroll]] for (uint e = 0; e < 4; ++e) {
                const uint n = (own + e) * LANES + lane;
                if (n < size) values[first + n] = outputs[own / 4][e];
            }
        }
#endif
    }
    barrier();
}

// values -> its second half.
void mixCore() {
    const uint matrix = SOURCE == kSourceNorm ? PADDED : 0;
    const uint quads = (MIX_CORE + 7) / 8 * 2;
    const uint groups = WIDTH / MIX_CORE;
    for (uint p = lane; p < groups * (quads / 2); p += LANES) {
        const uint i0 = p / groups * 8;
        const uint column = p % groups / MIX_STRIDE * MIX_CORE * MIX_STRIDE + p % groups % MIX_STRIDE;
        vec4 low = vec4(0);
        vec4 high = vec4(0);
        for (uint j = 0; j < MIX_CORE; ++j) {
            const float v = values[column + j * MIX_STRIDE];
            low += LOADWIDE(floats, matrix, j * quads + i0 / 4) * v;
            high += LOADWIDE(floats, matrix, j * quads + i0 / 4 + 1) * v;
        }
        for (uint i = 0; i < 8; ++i) {
            if (i0 + i < MIX_CORE) values[PADDED + column + (i0 + i) * MIX_STRIDE] = i < 4 ? low[i & 3] : high[i & 3];
        }
    }
    barrier();
}

// Element 0 of butterfly p, whose elements lie UNIT << bits apart, 2^radixBits of them. No division by a variable: it
// costs llvmpipe as much as several loads.
const uint UNIT = MIX_STRIDE * MIX_CORE;
uint butterfly(uint p, uint bits, uint radixBits) {
    const uint q = p / UNIT;
    return (((q >> bits) << (bits + radixBits)) + (q & ((1u << bits) - 1))) * UNIT + p % UNIT;
}

#ifdef ADDRESS
// Values first .. first + LANES - 1, one a lane.
float laneValue(uint first) {
    float value = 0;
    [[unroll]] for (uint l = 0; l < LANES; ++l) value = gl_SubgroupInvocationID == l ? values[first + l] : value;
    return value;
}
// Passes of radix 8 where LANES neighbours lie beside each other; those that are left go on as below.
const bool NEIGHBOURS = UNIT % LANES == 0 && WIDTH / 8 % LANES == 0;
uint mixEights(uint base) {
    uint bits = 0;
    for (; NEIGHBOURS && 8u << bits <= MIX_ORDER; bits += 3) {
        // Both limits hold by themselves but where no lane is active, see Loops in integer_linear_address.comp.
        const uint stride = min(UNIT << bits, WIDTH / 8);
        const uint last = WIDTH - LANES - 7 * stride;
        const float factor = 8u << bits == MIX_ORDER ? push.mixScale : 1.0;
        for (uint p = 0; p < WIDTH / 8; p += LANES) {
            const uint i = base + min(butterfly(p, bits, 3), last);
            float v[8];
            [[unroll]] for (uint e = 0; e < 8; ++e) v[e] = laneValue(i + e * stride);
            [[unroll]] for (uint half_ = 1; half_ < 8; half_ *= 2) {
                [[unroll]] for (uint e = 0; e < 8; ++e) {
                    if ((e & half_) == 0) {
                        const float a = v[e], b = v[e | half_];
                        v[e] = a + b;
                        v[e | half_] = a - b;
                    }
                }
            }
            [[unroll]] for (uint e = 0; e < 8; ++e) values[i + e * stride + lane] = v[e] * factor;
        }
        barrier();
    }
    return bits;
}
#else
uint mixEights(uint base) { return 0; }
#endif

// Butterflies in place, from the smallest stride up; the last pass scales.
void mixHadamard(uint base) {
    uint bits = mixEights(base);
    for (; 4u << bits <= MIX_ORDER; bits += 2) {
        const uint stride = UNIT << bits;
        const float factor = 4u << bits == MIX_ORDER ? push.mixScale : 1.0;
        for (uint p = lane; p < WIDTH / 4; p += LANES) {
            const uint i = base + butterfly(p, bits, 2);
            const float a = values[i] + values[i + stride];
            const float b = values[i] - values[i + stride];
            const float c = values[i + 2 * stride] + values[i + 3 * stride];
            const float d = values[i + 2 * stride] - values[i + 3 * stride];
            values[i] = (a + c) * factor;
            values[i + stride] = (b + d) * factor;
            values[i + 2 * stride] = (a - c) * factor;
            values[i + 3 * stride] = (b - d) * factor;
        }
        barrier();
    }
    if (1u << bits == MIX_ORDER) return;
    for (uint p = lane; p < WIDTH / 2; p += LANES) {
        const uint i = base + butterfly(p, bits, 1);
        const float a = values[i];
        const float b = values[i + (UNIT << bits)];
        values[i] = (a + b) * push.mixScale;
        values[i + (UNIT << bits)] = (a - b) * push.mixScale;
    }
    barrier();
}

void writeCodes(uint row, uint base) {
    vec2 range = vec2(0);
    for (uint k = lane; k < WIDTH; k += LANES) {
        const float value = values[base + k];
        range = vec2(min(range.x, value), max(range.y, value));
    }
    partial[lane] = range;
    barrier();
    for (uint i = 0; i < LANES; ++i) range = vec2(min(range.x, partial[i].x), max(range.y, partial[i].y));
    float scale;
    const Quantiser quantiser = quantiserOf(range, scale);

    const uint words = (WIDTH + 31) / 32 * 8;
    const uint header = row * (4 + words);
    int sum = 0;
    for (uint i = lane; i < words; i += LANES) {
        uint word = 0;
        for (uint j = 0; j < 4; ++j) {
            const uint k = 4 * i + j;
            const int code = k < WIDTH ? quantise(quantiser, values[base + k]) : 0;
            sum += code;
            word |= (uint(code) & 0xFFu) << (8 * j);
        }
        rows[header + 4 + i] = word;
    }
    codeSums[lane] = sum;
    barrier();
    if (lane != 0) return;
    sum = 0;
    for (uint i = 0; i < LANES; ++i) sum += codeSums[i];
    rows[header] = floatBitsToUint(scale);
    rows[header + 1] = uint(quantiser.zero);
    rows[header + 2] = uint(sum);
    rows[header + 3] = 0;
}

void main() {
#ifdef ADDRESS
    lane = gl_SubgroupInvocationID;
#else
    lane = gl_LocalInvocationID.x;
#endif
    const uint row = push.firstRow + gl_WorkGroupID.x;
    loadSource(row);
    if (BLOCK > 0) transformBlocks();
    if (MIX_CORE > 1) mixCore();
    const uint base = MIX_CORE > 1 ? PADDED : 0;
    if (MIX_ORDER > 1) mixHadamard(base);
    writeCodes(row, base);
}
