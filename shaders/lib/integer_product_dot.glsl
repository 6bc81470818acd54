// Sixteen products by four dot products of four int8 pairs. 4-bit weights enter as 16 q, whose sums are exact for
// K < 132,000 (16 * 8 * 127 K < 2^31) and are shifted back at the end of a group.
// GL_EXT_integer_dot_product is unknown to older compilers, so OpSDot is written by its number.
// Needs: WEIGHT_BITS, GL_EXT_spirv_intrinsics. Gives: OPERANDS, UNITS_OF_BLOCK, SUM_SHIFT, weightOperands, product.

spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dotSigned4x8(uint a, uint b, spirv_literal int packedFormat);

const uint OPERANDS = 4;
const uint UNITS_OF_BLOCK = WEIGHT_BITS == 4 ? 1 : 2;
const int SUM_SHIFT = WEIGHT_BITS == 4 ? 4 : 0;

void weightOperands(uvec4 unit, uint part, out uint operands[OPERANDS]) {
    if (WEIGHT_BITS == 4) {
        // Re-laid words have their halves swapped, see kernels/linear_weights.h. Swapped back here: once for all rows of x.
        const uvec2 words = part == 0 ? unit.xy : unit.zw;
        const uvec2 signed = ((words << 16) | (words >> 16)) ^ 0x88888888u;
        operands[0] = (signed.x << 4) & 0xF0F0F0F0u;
        operands[1] = signed.x & 0xF0F0F0F0u;
        operands[2] = (signed.y << 4) & 0xF0F0F0F0u;
        operands[3] = signed.y & 0xF0F0F0F0u;
    } else {
        [[unroll]] for (uint i = 0; i < OPERANDS; ++i) operands[i] = unit[i];
    }
}

int product(uint w, uint x) { return dotSigned4x8(w, x, 0); }
