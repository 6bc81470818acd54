// The attention of one row for GPUs: attention.comp's formula (see runtime/kernels/attention.h), where a key head's keys are
// divided among all invocations of a workgroup. A GPU that walks them one after the other waits for memory at each.
//
// Buffers   0 qkv [(H + 2 Hk) D], only the queries are read; 1 keys, 2 values [context][Hk D]; 3 y [H D]; float32.
// Mapping   a workgroup takes TILE_Q of the queries (WorkGroupID.x) of one key head (y) and walks the keys in rounds of THREADS:
//           scores   an invocation owns a key; the queries lie in shared memory
//           values   an invocation owns vec4 of the head's dimension and every TEAMS-th key of the round; the teams' sums are
//                    added at the end
//           Loads are asked for UNROLL at a time.
// SPLIT     workgroup z takes keys z * partKeys and on, and writes sums that are not divided yet, its maximum and its total to
//           y [parts][H][D rounded up to 4, then maximum, total, -, -]; attention_merge.comp makes one of them.
// Softmax   a running maximum and sum; sums and outputs are rescaled when the maximum grows.
// Requires  THREADS a power of two, at least the quads of D; an even D; WIDE says that it is a multiple of 4.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

#include "interface/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_Q = 1;
layout(constant_id = 2) const uint DIM = 64;  // D
layout(constant_id = 3) const bool WIDE = true;
layout(constant_id = 4) const bool SPLIT = false;
const uint THREADS = gl_WorkGroupSize.x;
const uint DIM_QUADS = (DIM + 3) / 4;
const uint TEAMS = THREADS / DIM_QUADS;
const uint UNROLL = 8;

#include "lib/rows4.glsl"
READ_ROWS(0, Qkv, qkv)
READ_ROWS(1, Keys, keys)
READ_ROWS(2, Values, values)
ROWS(3, Y, y)
layout(push_constant) uniform Push { AttentionPush push; };

#include "lib/exp.glsl"

const float MASKED = -1e30;

shared vec4 queries[TILE_Q * DIM_QUADS];
shared float exchanged[TILE_Q * THREADS];  // scores, probabilities, totals
shared vec4 shares[THREADS];               // of the outputs of a query

uint lane;
uint keyHead;
uint firstQuery;
float scores[TILE_Q];
vec4 outputs[TILE_Q];
float maxima[TILE_Q];
float totals[TILE_Q];

// Past the end the last query again.
uint headOf(uint q) { return keyHead * push.ratio + min(firstQuery + q, push.ratio - 1); }
uint keyBase(uint key) { return (key * push.kvHeads + keyHead) * DIM; }

void loadQueries() {
    for (uint i = lane; i < TILE_Q * DIM_QUADS; i += THREADS)
        queries[i] = LOAD4(qkv, headOf(i / DIM_QUADS) * DIM, i % DIM_QUADS, DIM);
    barrier();
}

void score(uint key) {
    const uint base = keyBase(key);
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) scores[q] = 0;
    for (uint first = 0; first < DIM_QUADS; first += UNROLL) {
        vec4 k[UNROLL];
        [[unroll]] for (uint u = 0; u < UNROLL; ++u) k[u] = LOAD4(keys, base, min(first + u, DIM_QUADS - 1), DIM);
        [[unroll]] for (uint u = 0; u < UNROLL; ++u) {
            if (first + u >= DIM_QUADS) break;
            [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
                const vec4 v = queries[q * DIM_QUADS + first + u];
                scores[q] += v.x * k[u].x;
                scores[q] += v.y * k[u].y;
                scores[q] += v.z * k[u].z;
                scores[q] += v.w * k[u].w;
            }
        }
    }
}

// The first of each query's values in `exchanged` becomes the largest of all.
void findLargest() {
    for (uint half_ = THREADS / 2; half_ > 0; half_ /= 2) {
        barrier();
        if (lane >= half_) continue;
        [[unroll]] for (uint q = 0; q < TILE_Q; ++q)
            exchanged[q * THREADS + lane] = max(exchanged[q * THREADS + lane], exchanged[q * THREADS + lane + half_]);
    }
    barrier();
}

void addAll() {
    for (uint half_ = THREADS / 2; half_ > 0; half_ /= 2) {
        barrier();
        if (lane >= half_) continue;
        [[unroll]] for (uint q = 0; q < TILE_Q; ++q) exchanged[q * THREADS + lane] += exchanged[q * THREADS + lane + half_];
    }
    barrier();
}

// scores -> probabilities relative to the running maximum, in `exchanged`; rescales what was summed under the old one.
void softmax(bool visible) {
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        scores[q] = visible ? scores[q] * push.scale : MASKED;
        exchanged[q * THREADS + lane] = scores[q];
    }
    findLargest();
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        const float maximum = max(maxima[q], exchanged[q * THREADS]);
        const float rescale = expAccurate(maxima[q] - maximum);
        maxima[q] = maximum;
        totals[q] *= rescale;
        outputs[q] *= rescale;
    }
    barrier();  // the largest ones are read
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        const float p = visible ? expAccurate(scores[q] - maxima[q]) : 0.0;
        totals[q] += p;  // of this invocation's keys
        exchanged[q * THREADS + lane] = p;
    }
    barrier();
}

// Of `count` keys from firstKey on.
void accumulate(uint firstKey, uint count) {
    const uint team = lane / DIM_QUADS, quad = lane % DIM_QUADS;
    if (team >= TEAMS) return;
    for (uint first = team; first < count; first += UNROLL * TEAMS) {
        vec4 v[UNROLL];
        [[unroll]] for (uint u = 0; u < UNROLL; ++u) {
            const uint key = firstKey + min(first + u * TEAMS, count - 1);
            v[u] = LOAD4(values, keyBase(key), quad, DIM);
        }
        [[unroll]] for (uint u = 0; u < UNROLL; ++u) {
            const uint key = first + u * TEAMS, known = min(key, count - 1);
            [[unroll]] for (uint q = 0; q < TILE_Q; ++q)
                outputs[q] += v[u] * (key < count ? exchanged[q * THREADS + known] : 0.0);
        }
    }
}

void write(uint q, vec4 sum, float total) {
    if (firstQuery + q >= push.ratio) return;
    const uint head = headOf(q);
    if (SPLIT) {
        const uint part = (gl_WorkGroupID.z * push.kvHeads * push.ratio + head) * (DIM_QUADS + 1);
        y4[part + lane] = sum;
        if (lane == 0) y4[part + DIM_QUADS] = vec4(maxima[q], total, 0, 0);
    } else {
        const vec4 v = sum / total;
        STORE4(y, head * DIM, lane, DIM, v)
    }
}

void main() {
    lane = gl_LocalInvocationID.x;
    firstQuery = gl_WorkGroupID.x * TILE_Q;
    keyHead = gl_WorkGroupID.y;
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        outputs[q] = vec4(0);
        maxima[q] = MASKED;
        totals[q] = 0;
    }
    loadQueries();
    const uint begin = SPLIT ? gl_WorkGroupID.z * push.partKeys : 0;
    const uint end = SPLIT ? min(push.position + 1, begin + push.partKeys) : push.position + 1;
    for (uint first = begin; first < end; first += THREADS) {
        score(min(first + lane, end - 1));
        softmax(first + lane < end);
        accumulate(first, min(THREADS, end - first));
        barrier();  // the probabilities are read
    }
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) exchanged[q * THREADS + lane] = totals[q];
    addAll();
    [[unroll]] for (uint q = 0; q < TILE_Q; ++q) {
        shares[lane] = outputs[q];
        barrier();
        if (lane < DIM_QUADS) {
            vec4 sum = shares[lane];
            for (uint team = 1; team < TEAMS; ++team) sum += shares[team * DIM_QUADS + lane];
            write(q, sum, exchanged[q * THREADS]);
        }
        barrier();
    }
}
