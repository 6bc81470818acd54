#version 450
// to[i] = from[i]: a module that needs TEXEL.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Parameters { uint count; };
layout(binding = 0) uniform usamplerBuffer from;
layout(binding = 1) writeonly buffer To { uvec4 to[]; };
void main() {
    const uint i = gl_GlobalInvocationID.x;
    if (i < count) to[i] = texelFetch(from, int(i));
}
