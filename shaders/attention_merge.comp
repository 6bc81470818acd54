#version 450
// The attention of one row whose context was split: parts in their order, each relative to its own maximum.
//     y[h] = sum_p exp(m_p - m) s_p / sum_p exp(m_p - m) t_p,   m = max m_p
//
// Buffers   0 parts vec4 [parts][H][ceil(D / 4) quads of s_p, then m_p, t_p, -, -], 1 y [H][D]; float32.
// Mapping   a workgroup a head; an invocation owns quads of the head's dimension, LANES apart.
#extension GL_GOOGLE_include_directive : require
#include "interface/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint DIM = 64;  // D
layout(constant_id = 2) const bool WIDE = true;
layout(constant_id = 3) const uint HEADS = 1;
const uint DIM_QUADS = (DIM + 3) / 4;

#include "lib/rows4.glsl"
layout(set = 0, binding = 0, std430) readonly buffer Parts { vec4 parts[]; };
ROWS(1, Y, y)
layout(push_constant) uniform Push { AttentionMergePush push; };

#include "lib/exp.glsl"

void main() {
    const uint head = gl_WorkGroupID.x;
    const uint step = HEADS * (DIM_QUADS + 1);
    const uint first = head * (DIM_QUADS + 1);
    float maximum = parts[first + DIM_QUADS].x;
    for (uint p = 1; p < push.parts; ++p) maximum = max(maximum, parts[first + p * step + DIM_QUADS].x);
    for (uint quad = gl_LocalInvocationID.x; quad < DIM_QUADS; quad += gl_WorkGroupSize.x) {
        vec4 sum = vec4(0);
        float total = 0;
        for (uint p = 0; p < push.parts; ++p) {
            const vec4 last = parts[first + p * step + DIM_QUADS];
            const float weight = expAccurate(last.x - maximum);
            sum += parts[first + p * step + quad] * weight;
            total += last.y * weight;
        }
        const vec4 v = sum / total;
        STORE4(y, head * DIM, quad, DIM, v)
    }
}
