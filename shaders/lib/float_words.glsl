// Widening of 16-bit floats, exact but for fp16 subnormals (below 2^-14), which a driver may flush to zero in
// unpackHalf2x16; lavapipe and SwiftShader keep them.
// Needs: nothing. Gives: vec4 fourHalves(uvec2 words, uint format), format 1 F16, 2 BF16; the lower index in the low half.

vec4 fourHalves(uvec2 w, uint format) {
    if (format == 2) return uintBitsToFloat(uvec4(w.x << 16, w.x & 0xFFFF0000u, w.y << 16, w.y & 0xFFFF0000u));
    return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
}
