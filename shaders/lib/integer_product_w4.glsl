// Sixteen products of 4-bit weights and 8-bit activations with eight multiplications.
// A 32-bit product of (w0 + w1 2^16) and (x0 + x1 2^16) holds w0 x1 + w1 x0 in bits 16..31, undisturbed by w0 x0 below
// as long as that stays under 2^16. With unsigned nibbles w = q + 8 <= 15 and bytes x = c + 128 <= 255 eight such
// products may be added before the shift: 8 * 15 * 255 < 2^16 below, 8 * 2 * 15 * 255 = 61200 < 2^16 above.
// Needs: nothing. Gives: OPERANDS, UNITS_OF_BLOCK, ACTIVATION_OFFSET, WEIGHT_OFFSET, SUM_SHIFT, prepareActivations,
// weightOperands, activationOperands, product, productSum, byteSum.

const uint OPERANDS = 8;
const uint UNITS_OF_BLOCK = 1;  // 128-bit words that hold a block of 32 weights
const int ACTIVATION_OFFSET = 128;  // x = c + 128
const int WEIGHT_OFFSET = 8;        // w = q + 8
const int SUM_SHIFT = 0;

// 16 int8 codes to unsigned bytes.
uvec4 prepareActivations(uvec4 words) { return words ^ 0x80808080u; }

// Weights of half a block: 2 words of 8 nibbles in the order of kernels/linear_weights.h.
void weightOperands(uvec4 unit, uint part, out uint operands[OPERANDS]) {
    const uvec2 words = part == 0 ? unit.xy : unit.zw;
    [[unroll]] for (uint j = 0; j < 4; ++j) {
        operands[j] = (words.x >> (4 * j)) & 0x000F000Fu;
        operands[4 + j] = (words.y >> (4 * j)) & 0x000F000Fu;
    }
}

// Activations of half a block: 4 prepared words in the order of K.
void activationOperands(uvec4 words, out uint operands[OPERANDS]) {
    const uvec4 even = words & 0x00FF00FFu;
    const uvec4 odd = (words >> 8) & 0x00FF00FFu;
    operands[0] = even.x;
    operands[1] = even.y;
    operands[2] = odd.x;
    operands[3] = odd.y;
    operands[4] = even.z;
    operands[5] = even.w;
    operands[6] = odd.z;
    operands[7] = odd.w;
}

uint product(uint w, uint x) { return w * x; }
uint productSum(uint sum) { return sum >> 16; }

// Sum of the 16 prepared bytes.
uint byteSum(uvec4 words) {
    const uvec4 pairs = (words & 0x00FF00FFu) + ((words >> 8) & 0x00FF00FFu);
    const uint sum = pairs.x + pairs.y + pairs.z + pairs.w;
    return (sum & 0xFFFFu) + (sum >> 16);
}
