// Integer weights as floats, eight of a row at a time.
// Needs: uvec4 weightUnit(uint index); FORMAT (3 Int4, 4 Int8); LANES; TILE_N.
// Gives: UNITS_OF_BLOCK, units of 32 inputs; weightEight(n, base, block, part, low, high): codes 8 part .. 8 part + 7 of
//        a block of 32 inputs of weight tile n, exact; `base` is the lane's first unit. Parts must be asked in order
//        0, 1, 2, 3, since a unit is fetched with the first part that lies in it.
// Int4 words hold nibbles q + 8 in the order K 2 6 3 7 0 4 1 5 from the low end (kernels/linear_weights.h).

const uint UNITS_OF_BLOCK = FORMAT == 3 ? 1 : 2;

uvec4 fetched[TILE_N];

void weightEight(uint n, uint base, uint block, uint part, out vec4 low, out vec4 high) {
    if (FORMAT == 3) {
        if (part == 0) fetched[n] = weightUnit(base + block * LANES) ^ 0x88888888u;
        const uint w = fetched[n][part];
        low = vec4(ivec4(uvec4(w << 12, w << 4, w << 28, w << 20)) >> 28);
        high = vec4(ivec4(uvec4(w << 8, w, w << 24, w << 16)) >> 28);
    } else {
        if (part % 2 == 0) fetched[n] = weightUnit(base + (block * 2 + part / 2) * LANES);
        const uint a = fetched[n][part % 2 * 2];
        const uint b = fetched[n][part % 2 * 2 + 1];
        low = vec4(ivec4(uvec4(a << 24, a << 16, a << 8, a)) >> 24);
        high = vec4(ivec4(uvec4(b << 24, b << 16, b << 8, b)) >> 24);
    }
}
