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
// Requires  D a multiple of 4 (WIDE) or any even D; DIM_QUADS = ceil(D / 4).
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

layout(set = 0, binding = 0, std430) readonly buffer Qkv { float qkv[]; };
layout(set = 0, binding = 0, std430) readonly buffer QkvWide { vec4 qkv4[]; };
layout(set = 0, binding = 1, std430) readonly buffer Keys { float keys[]; };
layout(set = 0, binding = 1, std430) readonly buffer KeysWide { vec4 keys4[]; };
layout(set = 0, binding = 2, std430) readonly buffer Values { float values[]; };
layout(set = 0, binding = 2, std430) readonly buffer ValuesWide { vec4 values4[]; };
layout(set = 0, binding = 3, std430) writeonly buffer Y { float y[]; };
layout(set = 0, binding = 3, std430) writeonly buffer YWide { vec4 y4[]; };
layout(push_constant) uniform Push { AttentionPush push; };

#include "lib/exp.glsl"
#include "lib/rows4.glsl"

const float MASKED = -1e30;

uint lane;
uint keyHead;
uint firstQuery;
float scores[TILE_Q * TILE_K];  // then probabilities
vec4 outputs[TILE_Q * OWN_QUADS];
float maxima[TILE_Q];
float totals[TILE_Q];

// Row and head of query firstQuery + q, the last query again past the end.
void locate(uint q, out uint row, out uint head) {
    const uint e = min(firstQuery + q, push.rows * push.ratio - 1);
    row = e / push.ratio;
    head = keyHead * push.ratio + e % push.ratio;
}

vec4 queryQuad(uint q, uint quad) {
    uint row, head;
    locate(q, row, head);
    if (quad >= DIM_QUADS) return vec4(0);
    return LOAD4(qkv, (row * (push.ratio + 2) * push.kvHeads + head) * DIM, quad, DIM);
}

#ifdef SUBGROUP
const uint HELD = (TILE_Q * 4 + LANES - 1) / LANES;
vec4 held[HELD];  // vec4 e = q * 4 + quad of 16 dimensions is held[e / LANES] of lane e % LANES

void loadQueries(uint firstQuad) {
    [[unroll]] for (uint i = 0; i < HELD; ++i) {
        const uint e = i * LANES + lane;
        held[i] = queryQuad(e / 4, firstQuad + e % 4);
    }
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

void loadQueries(uint firstQuad) {}
vec4 heldQuad(uint q, uint firstQuad, uint quad) { return queryQuad(q, firstQuad + quad); }
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
        uint row, head;
        locate(q, row, head);
        float largest = MASKED;
        [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
            const bool visible = firstKey + j * LANES + lane <= push.position + row;
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

void accumulateTile(uint firstKey, uint lastKey) {
    shareProbabilities();
    [[unroll]] for (uint j = 0; j < TILE_K; ++j) {
        [[unroll]] for (uint source = 0; source < LANES; ++source) {
            const uint t = min(firstKey + j * LANES + source, lastKey);  // past it every probability is zero
            [[unroll]] for (uint i = 0; i < OWN_QUADS; ++i) {
                const uint quad = min(i * LANES + lane, DIM_QUADS - 1);
                const vec4 v = LOAD4(values, (t * push.kvHeads + keyHead) * DIM, quad, DIM);
                [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
                    outputs[q * OWN_QUADS + i] += v * probability(q, j, source);
                }
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
        maxima[q] = MASKED;
        totals[q] = 0;
    }
    uint lastRow, head;
    locate(TILE_Q - 1, lastRow, head);
    const uint lastKey = push.position + lastRow;
    for (uint firstKey = 0; firstKey <= lastKey; firstKey += TILE_K * LANES) {
        scoreTile(firstKey, lastKey);
        softmaxTile(firstKey);
        accumulateTile(firstKey, lastKey);
    }
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        uint row;
        locate(q, row, head);
        const float total = sumOf(totals[q]);
        if (firstQuery + q >= push.rows * push.ratio) continue;
        const uint to = (row * push.ratio * push.kvHeads + head) * DIM;
        [[unroll]] for (uint i = 0; i < OWN_QUADS; ++i) {
            const uint quad = i * LANES + lane;
            if (quad < DIM_QUADS) {
                const vec4 v = outputs[q * OWN_QUADS + i] / total;
                STORE4(y, to, quad, DIM, v)
            }
        }
    }
}
