// How fast this device multiplies and adds: the yardstick of `vulcat bench --kernels`.
//
// Buffers   0 y  [workgroups * LANES] one word an invocation, so that nothing is optimised away
// Mapping   12 values an invocation, each with 16 multiply-adds a round: enough that neither latency nor the loop shows, and
//           few enough for the 16 vector registers that llvmpipe uses. A value adds its neighbour, not a constant: compilers
//           would write the chains one after the other, and a CPU would wait for each step of one.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/peak.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool INTEGERS = false;

layout(set = 0, binding = 0, std430) writeonly buffer Y { uint y[]; };
layout(push_constant) uniform Push { PeakPush push; };

void main() {
    const uint at = gl_GlobalInvocationID.x;
    uint result;
    if (INTEGERS) {
        uvec4 a = uvec4(at, at + 1, at + 2, at + 3), b = a + 4u, c = a + 8u;
        const uvec4 factor = uvec4(push.seed);
        for (uint i = 0; i < push.rounds; ++i) {
            [[unroll]] for (uint j = 0; j < 16; ++j) {
                const uvec4 next = a.yzwx;
                a = a * factor + b;
                b = b * factor + c;
                c = c * factor + next;
            }
        }
        const uvec4 sum = a ^ b ^ c;
        result = sum.x ^ sum.y ^ sum.z ^ sum.w;
    } else {
        vec4 a = vec4(at, at + 1, at + 2, at + 3), b = a + 4.0, c = a + 8.0;
        const vec4 factor = vec4(1.0 / float(push.seed));
        for (uint i = 0; i < push.rounds; ++i) {
            [[unroll]] for (uint j = 0; j < 16; ++j) {
                const vec4 next = a.yzwx;
                a = fma(a, factor, b);
                b = fma(b, factor, c);
                c = fma(c, factor, next);
            }
        }
        const vec4 sum = a + b + c;
        result = floatBitsToUint(sum.x + sum.y + sum.z + sum.w);
    }
    y[at] = result;
}
