// Float weights, eight of a row at a time.
// Needs: uvec4 weightUnit(uint index); FORMAT (0 F32, 1 F16, 2 BF16); LANES; lib/float_words.glsl.
// Gives: UNITS_OF_BLOCK, units of 32 inputs; weightEight(n, base, block, part, low, high): elements 8 part .. 8 part + 7 of
//        a block of 32 inputs, exact; `base` is the lane's first unit.

const uint UNITS_OF_BLOCK = FORMAT == 0 ? 8 : 4;

void weightEight(uint n, uint base, uint block, uint part, out vec4 low, out vec4 high) {
    if (FORMAT == 0) {
        low = uintBitsToFloat(weightUnit(base + (block * 8 + 2 * part) * LANES));
        high = uintBitsToFloat(weightUnit(base + (block * 8 + 2 * part + 1) * LANES));
    } else {
        const uvec4 w = weightUnit(base + (block * 4 + part) * LANES);
        low = fourHalves(w.xy, FORMAT);
        high = fourHalves(w.zw, FORMAT);
    }
}
