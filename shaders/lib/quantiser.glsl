// How a row's range becomes scale, zero point and codes; the formulas stand in quantise_rows.comp.
// Needs: interface/quantise_rows.h; const uint FORMAT. Gives: struct Quantiser; Quantiser quantiserOf(vec2 range, out
// float scale), range = {min(0, x), max(0, x)} of the row; int quantise(Quantiser, float).

struct Quantiser {
    float inverse;
    int zero;
    int lowest;
    int highest;
};

Quantiser quantiserOf(vec2 range, out float scale) {
    precise float width = FORMAT == kFormatA4Asymmetric ? range.y - range.x : max(-range.x, range.y);
    // Below 2^-100 counts as zero (format::kLeastRange): the reciprocal would overflow, and devices may flush denormals.
    width = width < 7.8886090522101181e-31 ? 0 : width;
    const float steps = FORMAT == kFormatA8 ? 127.0 : FORMAT == kFormatA4Symmetric ? 7.0 : 15.0;
    const float step = FORMAT == kFormatA8 ? 1.0 / 127.0 : FORMAT == kFormatA4Symmetric ? 1.0 / 7.0 : 1.0 / 15.0;
    scale = width * step;
    Quantiser quantiser;
    quantiser.inverse = width > 0 ? steps / width : 0;
    quantiser.zero = FORMAT == kFormatA4Asymmetric ? int(roundEven(-range.x * quantiser.inverse)) : 0;
    quantiser.lowest = FORMAT == kFormatA8 ? -127 : FORMAT == kFormatA4Symmetric ? -8 : 0;
    quantiser.highest = FORMAT == kFormatA8 ? 127 : FORMAT == kFormatA4Symmetric ? 7 : 15;
    return quantiser;
}

int quantise(Quantiser quantiser, float value) {
    precise float scaled = value * quantiser.inverse;
    // int(roundEven(scaled)) without a conversion, which newer llvmpipe does lane by lane: below 2^22 the sum is exact.
    precise float shifted = roundEven(scaled) + 12582912.0;
    return clamp(floatBitsToInt(shifted) - 0x4B400000 + quantiser.zero, quantiser.lowest, quantiser.highest);
}
