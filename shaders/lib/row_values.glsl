// Rows of floats at addresses that all lanes share, see integer_linear_address.comp.
// Needs: const uint LANES, a multiple of 4; GL_EXT_buffer_reference, GL_EXT_buffer_reference_uvec2, GL_KHR_shader_subgroup_basic.
// Gives: of the floats from `at` on those from `first` on, a multiple of 4, one a lane: tableValue(at, first) where nothing writes
//        them in the same dispatch, rowValue(at, first) where something may; buffer Floats { float at[]; }.

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer WrittenQuads { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float at[]; };

#define VALUE_AT(Quads_, value, at_, first)                                                                      \
    float value = 0;                                                                                             \
    [[unroll]] for (uint l = 0; l < LANES; l += 4) {                                                             \
        const vec4 four = Quads_(at_).at[((first) + l) / 4];                                                     \
        [[unroll]] for (uint e = 0; e < 4; ++e) value = gl_SubgroupInvocationID == l + e ? four[e] : value;      \
    }
float tableValue(uvec2 at, uint first) {
    VALUE_AT(Quads, value, at, first)
    return value;
}
float rowValue(uvec2 at, uint first) {
    VALUE_AT(WrittenQuads, value, at, first)
    return value;
}
