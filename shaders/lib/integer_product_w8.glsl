// Sixteen products of 8-bit weights and 8-bit activations, one multiplication each: a product fills 16 bits, so there
// is no room for two in one.
// Needs: nothing. Gives: the same names as integer_product_w4.glsl.

const uint OPERANDS = 16;
const uint UNITS_OF_BLOCK = 2;
const int ACTIVATION_OFFSET = 0;
const int WEIGHT_OFFSET = 0;
const int SUM_SHIFT = 0;

uvec4 prepareActivations(uvec4 words) { return words; }

// Sign-extended bytes; shifts, because bitfieldExtract is slow on SwiftShader.
void activationOperands(uvec4 words, out uint operands[OPERANDS]) {
    [[unroll]] for (uint j = 0; j < 4; ++j) {
        const ivec4 bytes = ivec4(words << (24 - 8 * j)) >> 24;
        operands[j] = uint(bytes.x);
        operands[4 + j] = uint(bytes.y);
        operands[8 + j] = uint(bytes.z);
        operands[12 + j] = uint(bytes.w);
    }
}

void weightOperands(uvec4 unit, uint part, out uint operands[OPERANDS]) { activationOperands(unit, operands); }

uint product(uint w, uint x) { return w * x; }
uint productSum(uint sum) { return sum; }

// Not needed without offsets.
uint byteSum(uvec4 words) { return 0; }
