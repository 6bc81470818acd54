#version 450
// Rotates queries in place, rotates keys into the cache, copies values into the cache. For i < D/2 of each head:
//   (a, b) = (v[i], v[i + D/2]) -> (a cos - b sin, b cos + a sin), angle = position * frequency_i.
//
// Buffers   0 qkv [M, (H + 2 Hk) D], 1 table [positions, D/2] {cos, sin}, 2 keys and 3 values [context, Hk D]; float32.
// Mapping   a workgroup takes every groupsY-th row; a lane takes pairs of one row, STEP at a time.
// STEP is 4 where four divides D/2, so that the halves are read as vec4, else 1.
#extension GL_GOOGLE_include_directive : require
#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool WIDE = true;  // D/2 is a multiple of 4
layout(constant_id = 2) const uint HALF = 32;    // D/2

layout(set = 0, binding = 0, std430) buffer Qkv { float qkv[]; };
layout(set = 0, binding = 0, std430) buffer QkvWide { vec4 qkv4[]; };
layout(set = 0, binding = 1, std430) readonly buffer Table { vec2 table[]; };
layout(set = 0, binding = 1, std430) readonly buffer TableWide { vec4 table4[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Keys { float keys[]; };
layout(set = 0, binding = 2, std430) writeonly buffer KeysWide { vec4 keys4[]; };
layout(set = 0, binding = 3, std430) writeonly buffer Values { float values[]; };
layout(set = 0, binding = 3, std430) writeonly buffer ValuesWide { vec4 values4[]; };
layout(push_constant) uniform Push { RopeStorePush push; };

// Pairs i .. i+3 of the head whose row part starts at `from`; `to` is the start of its place in the cache.
void wide(uint head, uint from, uint to, uint angle) {
    vec4 a = qkv4[from / 4];
    vec4 b = qkv4[(from + HALF) / 4];
    if (head >= push.heads + push.kvHeads) {
        values4[to / 4] = a;
        values4[(to + HALF) / 4] = b;
        return;
    }
    vec4 t0 = table4[angle / 2];
    vec4 t1 = table4[angle / 2 + 1];
    vec4 c = vec4(t0.xz, t1.xz);
    vec4 s = vec4(t0.yw, t1.yw);
    vec4 low = a * c - b * s;
    vec4 high = b * c + a * s;
    if (head < push.heads) {
        qkv4[from / 4] = low;
        qkv4[(from + HALF) / 4] = high;
    } else {
        keys4[to / 4] = low;
        keys4[(to + HALF) / 4] = high;
    }
}

// One pair; the same with scalars.
void narrow(uint head, uint from, uint to, uint angle) {
    float a = qkv[from];
    float b = qkv[from + HALF];
    if (head >= push.heads + push.kvHeads) {
        values[to] = a;
        values[to + HALF] = b;
        return;
    }
    vec2 t = table[angle];
    float low = a * t.x - b * t.y;
    float high = b * t.x + a * t.y;
    if (head < push.heads) {
        qkv[from] = low;
        qkv[from + HALF] = high;
    } else {
        keys[to] = low;
        keys[to + HALF] = high;
    }
}

void main() {
    const uint step = WIDE ? 4 : 1;
    const uint perHead = HALF / step;
    const uint heads = push.heads + 2 * push.kvHeads;
    for (uint row = gl_WorkGroupID.y; row < push.rows; row += push.groupsY) {
        const uint position = push.position + row;
        for (uint j = gl_GlobalInvocationID.x; j < heads * perHead; j += push.groupsX * gl_WorkGroupSize.x) {
            const uint head = j / perHead;
            const uint i = j % perHead * step;
            const uint from = (row * heads + head) * 2 * HALF + i;
            const uint cacheHead = (head - push.heads) % push.kvHeads;  // unused where the head is a query
            const uint to = (position * push.kvHeads + cacheHead) * 2 * HALF + i;
            if (WIDE) {
                wide(head, from, to, position * HALF + i);
            } else {
                narrow(head, from, to, position * HALF + i);
            }
        }
    }
}
