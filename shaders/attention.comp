// Causal attention over a key/value cache with grouped queries (see runtime/kernels/attention.h).
//
//     y[m,h] = sum_t softmax_t(q[m,h] . k[t, h / ratio] * scale) v[t, h / ratio],   t = 0 .. position + m
//
// Buffers   0 qkv [M][(H + 2 Hk) D], only the queries are read; 1 keys, 2 values [context][Hk D]; 3 y [M][H D]; float32.
// Mapping   the queries that share a key head, M * ratio of them, are numbered e = m * ratio + (h % ratio). A workgroup
//           takes TILE_Q of them (WorkGroupID.x) of one key head (y) and walks the keys in tiles of TILE_K * LANES:
//           scores   an invocation owns TILE_K keys, LANES apart
//           values   an invocation owns vec4 of the head's dimension, LANES apart
// Softmax   a running maximum and sum; sums and outputs are rescaled when the maximum grows.
// SUBGROUP  LANES is the subgroup size; queries and probabilities go round by shuffles with constant sources. Without
//           it queries are read at shared addresses and probabilities go through shared memory.
// TEXEL     queries, keys and values are texel buffers, see lib/rows4.glsl.
// Requires  an even D; WIDE says that it is a multiple of 4.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

#include "interface/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_Q = 1;
layout(constant_id = 2) const uint TILE_K = 2;
layout(constant_id = 3) const uint DIM = 64;  // D
layout(constant_id = 4) const bool WIDE = true;
const uint LANES = gl_WorkGroupSize.x;
const uint DIM_QUADS = (DIM + 3) / 4;
const uint OWN_QUADS = (DIM_QUADS + LANES - 1) / LANES;  // vec4 of the output an invocation owns

#include "lib/rows4.glsl"
READ_ROWS(0, Qkv, qkv)
READ_ROWS(1, Keys, keys)
READ_ROWS(2, Values, values)
ROWS(3, Y, y)
layout(push_constant) uniform Push { AttentionPush push; };

#include "lib/exp.glsl"

const float MASKED = -1e30;

uint lane;
uint keyHead;
uint firstQuery;
float scores[TILE_Q * TILE_K];  // then probabilities
vec4 outputs[TILE_Q * OWN_QUADS];
float maxima[TILE_Q];
float totals[TILE_Q];
uint lastKeys[TILE_Q];  // a query sees

// Where query firstQuery + q starts in qkv, and the last key it sees; past the end the last query again. Computed once:
// a division costs llvmpipe as much as several loads.
void locate(uint q, out uint start, out uint lastKey) {
    const uint e = min(firstQuery + q, push.rows * push.ratio - 1);
    const uint row = e / push.ratio;
    start = (row * (push.ratio + 2) * push.kvHeads + keyHead * push.ratio + e % push.ratio) * DIM;
    lastKey = push.position + row;
}

vec4 queryQuad(uint start, uint quad) {
    return quad < DIM_QUADS ? LOAD4(qkv, start, quad, DIM) : vec4(0);
}

#ifdef SUBGROUP
const uint HELD = (TILE_Q * 4 + LANES - 1) / LANES;
vec4 held[HELD];  // vec4 e = q * 4 + quad of 16 dimensions is held[e / LANES] of lane e % LANES
uint heldStart[HELD];

void prepareQueries() {
    uint unused;
    [[unroll]] for (uint i = 0; i < HELD; ++i) locate((i * LANES + lane) / 4, heldStart[i], unused);
}
void loadQueries(uint firstQuad) {
    [[unroll]] for (uint i = 0; i < HELD; ++i) held[i] = queryQuad(heldStart[i], firstQuad + (i * LANES + lane) % 4);
}
vec4 heldQuad(uint q, uint firstQuad, uint quad) {
    const uint e = q * 4 + quad;
    return subgroupShuffle(held[e / LANES], e % LANES);
}
float maximumOf(float v) { return subgroupMax(v); }
float sumOf(float v) { return subgroupAdd(v); }
void shareProbabilities() {}
float probability(uint q, uint j, uint source) { return subgroupShuffle(scores[q * TILE_K + j], source); }
#else
shared float exchanged[LANES];
shared float probabilities[TILE_Q * TILE_K * LANES];

uint heldStart[TILE_Q];

void prepareQueries() {
    uint unused;
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) locate(q, heldStart[q], unused);
}
void loadQueries(uint firstQuad) {}
vec4 heldQuad(uint q, uint firstQuad, uint quad) { return queryQuad(heldStart[q], firstQuad + quad); }
float maximumOf(float v) {
    barrier();  // everyone is done with what was exchanged before
    exchanged[lane] = v;
    barrier();
    float result = exchanged[0];
    for (uint l = 1; l < LANES; ++l) result = max(result, exchanged[l]);
    return result;
}
float sumOf(float v) {
    barrier();
    exchanged[lane] = v;
    barrier();
    float result = 0;
    for (uint l = 0; l < LANES; ++l) result += exchanged[l];
    return result;
}
void shareProbabilities() {
    [[unroll]] for (uint i = 0; i < TILE_Q * TILE_K; ++i) probabilities[i * LANES + lane] = scores[i];
    barrier();  // the sums of the next tile's maximum put a barrier between these reads and its writes
}
float probability(uint q, uint j, uint source) { return probabilities[(q * TILE_K + j) * LANES + source]; }
#endif

// scores = q . k for the keys firstKey + j * LANES + lane; keys past lastKey repeat the last one.
void scoreTile(uint firstKey, uint lastKey) {
    uint key[TILE_K];
    [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
        key[j] = (min(firstKey + j * LANES + lane, lastKey) * push.kvHeads + keyHead) * DIM;
    }
    [[unroll]] for (uint i = 0; i < TILE_Q * TILE_K; ++i) scores[i] = 0;
    for (uint firstQuad = 0; firstQuad < DIM_QUADS; firstQuad += 4) {
        loadQueries(firstQuad);
        [[unroll]] for (uint quad = 0; quad < 4; ++quad) {
            vec4 k[TILE_K];
            [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
                // Past the head's dimension the query is zero; any finite key will do.
                k[j] = LOAD4(keys, key[j], min(firstQuad + quad, DIM_QUADS - 1), DIM);
            }
            [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
                const vec4 v = heldQuad(q, firstQuad, quad);
                [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
                    float score = scores[q * TILE_K + j];
                    score += v.x * k[j].x;
                    score += v.y * k[j].y;
                    score += v.z * k[j].z;
                    score += v.w * k[j].w;
                    scores[q * TILE_K + j] = score;
                }
            }
        }
    }
}

// scores -> probabilities relative to the running maximum; rescales what was summed under the old one.
void softmaxTile(uint firstKey) {
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        float largest = MASKED;
        [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
            const bool visible = firstKey + j * LANES + lane <= lastKeys[q];
            const float score = visible ? scores[q * TILE_K + j] * push.scale : MASKED;
            scores[q * TILE_K + j] = score;
            largest = max(largest, score);
        }
        const float maximum = max(maxima[q], maximumOf(largest));
        const float rescale = expAccurate(maxima[q] - maximum);
        maxima[q] = maximum;
        float total = 0;
        [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
            const float score = scores[q * TILE_K + j];
            const float p = score == MASKED ? 0.0 : expAccurate(score - maximum);
            scores[q * TILE_K + j] = p;
            total += p;
        }
        totals[q] = totals[q] * rescale + total;  // of this invocation's keys; added up at the end
        [[unroll]] for (uint i = 0; i < OWN_QUADS; ++i) outputs[q * OWN_QUADS + i] *= rescale;
    }
}

// The loop over keys stays rolled: unrolled over a subgroup's keys, llvmpipe takes tens of seconds to compile it.
void accumulateTile(uint firstKey, uint lastKey) {
    shareProbabilities();
    [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
        const uint first = firstKey + j * LANES;
        const uint count = min(LANES, lastKey + 1 - min(first, lastKey + 1));
        for (uint source = 0; source < count; ++source) {
            const uint base = ((first + source) * push.kvHeads + keyHead) * DIM;
            float p[TILE_Q];
            [[unroll]] for (uint q = 0; q < TILE_Q; ++q) p[q] = probability(q, j, source);
            [[unroll]] for (uint i = 0; i < OWN_QUADS; ++i) {
                const vec4 v = LOAD4(values, base, min(i * LANES + lane, DIM_QUADS - 1), DIM);
                [[unroll]] for (uint q = 0; q < TILE_Q; ++q) outputs[q * OWN_QUADS + i] += v * p[q];
            }
        }
    }
}

void main() {
    lane = gl_LocalInvocationID.x;
    keyHead = gl_WorkGroupID.y;
    firstQuery = gl_WorkGroupID.x * TILE_Q;
    [[unroll]] for (uint i = 0; i < TILE_Q * OWN_QUADS; ++i) outputs[i] = vec4(0);
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        uint unused;
        locate(q, unused, lastKeys[q]);
        maxima[q] = MASKED;
        totals[q] = 0;
    }
    prepareQueries();
    const uint lastKey = lastKeys[TILE_Q - 1];
    for (uint firstKey = 0; firstKey <= lastKey; firstKey += TILE_K * LANES) {
        scoreTile(firstKey, lastKey);
        softmaxTile(firstKey);
        accumulateTile(firstKey, lastKey);
    }
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        const float total = sumOf(totals[q]);
        const uint e = firstQuery + q;
        if (e >= push.rows * push.ratio) continue;
        const uint to = ((e / push.ratio * push.kvHeads + keyHead) * push.ratio + e % push.ratio) * DIM;
        [[unroll]] for (uint i = 0; i < OWN_QUADS; ++i) {
            const uint quad = i * LANES + lane;
            if (quad < DIM_QUADS) {
                const vec4 v = outputs[q * OWN_QUADS + i] / total;
                STORE4(y, to, quad, DIM, v)
            }
        }
    }
}
