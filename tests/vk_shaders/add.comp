#version 450
// sum[i] = a[i] + b[i] + offset for i < count; a base-tier module for the tests of the vk floor.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint FACTOR = 1;
layout(push_constant) uniform Parameters { uint count; uint offset; };
layout(binding = 0) readonly buffer A { uint a[]; };
layout(binding = 1) readonly buffer B { uint b[]; };
layout(binding = 2) writeonly buffer Sum { uint sum[]; };
void main() {
    const uint i = gl_GlobalInvocationID.x;
    if (i < count) sum[i] = FACTOR * (a[i] + b[i]) + offset;
}
