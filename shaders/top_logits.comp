#version 450
// The largest logits of a row in falling order, the lower index first among equals: what a sampler needs of them.
//
// Buffers   0 logits float32 [count], as words; 1 largest uvec2 [chunks]: key and index of each chunk's first choice;
//           2 top uvec2 [wanted]: index and bits of the logit.
// Order     floats are compared as integers: key = bits with the sign turned, so that denormals count on every device.
//           -0 equals 0. A NaN is larger than everything, so that the host sees it first.
// Stages    MERGE false: a workgroup a chunk finds its largest. MERGE true: one workgroup takes the largest of all chunks
//           `wanted` times, and after each searches that chunk again for what comes behind the taken one.
#extension GL_GOOGLE_include_directive : require
#include "interface/top_logits.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool MERGE = false;
const uint LANES = gl_WorkGroupSize.x;

layout(set = 0, binding = 0, std430) readonly buffer Logits { uint logits[]; };
layout(set = 0, binding = 1, std430) buffer Largest { uvec2 largest[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Top { uvec2 top[]; };
layout(push_constant) uniform Push { TopLogitsPush push; };

const uvec2 NOTHING = uvec2(0, 0xFFFFFFFFu);  // no float has key 0
const uvec2 EVERYTHING = uvec2(0xFFFFFFFFu, 0xFFFFFFFFu);

shared uvec2 candidates[MERGE ? kMostChunks : 1];
shared uvec2 partial[LANES];

uint lane;

uvec2 candidate(uint index) {
    uint bits = logits[index];
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return uvec2(0xFFFFFFFFu, index);
    if (bits == 0x80000000u) bits = 0;
    return uvec2((bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u, index);
}

bool before(uvec2 a, uvec2 b) { return a.x > b.x || (a.x == b.x && a.y < b.y); }

// The first of all lanes' candidates.
uvec2 firstOf(uvec2 mine) {
    barrier();  // everyone is done with what was exchanged before
    partial[lane] = mine;
    barrier();
    uvec2 best = partial[0];
    for (uint l = 1; l < LANES; ++l) {
        if (before(partial[l], best)) best = partial[l];
    }
    return best;
}

// The first candidate of a chunk behind `last`.
uvec2 firstOfChunk(uint chunk, uvec2 last) {
    uvec2 best = NOTHING;
    const uint end = min((chunk + 1) * push.chunk, push.count);
    for (uint i = chunk * push.chunk + lane; i < end; i += LANES) {
        const uvec2 c = candidate(i);
        if (before(c, best) && (last == EVERYTHING || before(last, c))) best = c;
    }
    return firstOf(best);
}

void main() {
    lane = gl_LocalInvocationID.x;
    if (!MERGE) {
        const uvec2 best = firstOfChunk(gl_WorkGroupID.x, EVERYTHING);
        if (lane == 0) largest[gl_WorkGroupID.x] = best;
        return;
    }
    for (uint c = lane; c < push.chunks; c += LANES) candidates[c] = largest[c];
    barrier();
    for (uint i = 0; i < push.wanted; ++i) {
        uvec2 mine = NOTHING;
        for (uint c = lane; c < push.chunks; c += LANES) {
            if (before(candidates[c], mine)) mine = candidates[c];
        }
        const uvec2 taken = firstOf(mine);
        if (lane == 0) top[i] = uvec2(taken.y, logits[taken.y]);
        const uint chunk = taken.y / push.chunk;
        const uvec2 next = firstOfChunk(chunk, taken);
        if (chunk % LANES == lane) candidates[chunk] = next;  // read by this lane alone
    }
}
