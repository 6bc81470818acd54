// Units of weights in the order of words, read at addresses that all lanes share; see integer_linear_address.comp.
// Needs: LANES, a multiple of 4; GL_EXT_buffer_reference, GL_EXT_buffer_reference_uvec2, GL_KHR_shader_subgroup_basic.
// Gives: advance(address, bytes); spread(value, four, first): puts word e of `four` into lane first + e; unitAt(address):
//        this lane's words of the unit there; unitOf(address, index): of that which begins `index` uvec4 after it.

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Units { uvec4 words[]; };

uvec2 advance(uvec2 address, uint bytes) {
    uint carry;
    const uint low = uaddCarry(address.x, bytes, carry);
    return uvec2(low, address.y + carry);
}

void spread(inout uint value, uvec4 four, uint first) {
    [[unroll]] for (uint e = 0; e < 4; ++e) value = gl_SubgroupInvocationID == first + e ? four[e] : value;
}

uvec4 unitOf(uvec2 address, uint index) {
    Units units = Units(address);
    uvec4 unit;
    [[unroll]] for (uint word = 0; word < 4; ++word) {
        uint value = 0;
        [[unroll]] for (uint first = 0; first < LANES; first += 4) spread(value, units.words[index + (word * LANES + first) / 4], first);
        unit[word] = value;
    }
    return unit;
}
uvec4 unitAt(uvec2 address) { return unitOf(address, 0); }
