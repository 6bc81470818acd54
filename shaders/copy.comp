// Copies words: with the device's own copy command, the other yardstick of `vulcat bench --kernels`.
//
// Buffers   0 from, 1 to  uvec4, as many as workgroups * LANES * kCopyWords
// Mapping   kCopyWords loads an invocation, each a row of neighbouring words of the workgroup, before the first store.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/peak.h"

layout(local_size_x_id = 0) in;

layout(set = 0, binding = 0, std430) readonly buffer From { uvec4 from[]; };
layout(set = 0, binding = 1, std430) writeonly buffer To { uvec4 to[]; };

void main() {
    const uint lanes = gl_WorkGroupSize.x;
    const uint first = gl_WorkGroupID.x * lanes * kCopyWords + gl_LocalInvocationID.x;
    uvec4 words[kCopyWords];
    [[unroll]] for (uint i = 0; i < kCopyWords; ++i) words[i] = from[first + i * lanes];
    [[unroll]] for (uint i = 0; i < kCopyWords; ++i) to[first + i * lanes] = words[i];
}
