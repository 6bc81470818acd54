// exp(x) within 2 ULP on every driver, whatever its own exp does: Cody-Waite reduction by ln 2 in two parts and the
// Cephes polynomial on [-ln2/2, ln2/2].
// Needs: nothing. Gives: float expAccurate(float x) for any x that is not NaN; clamps to exp(-87) .. exp(88).

float expAccurate(float x) {
    x = clamp(x, -87.0, 88.0);
    float n = roundEven(x * 1.44269504088896341);
    float r = (x - n * 0.693359375) - n * -2.12194440e-4;  // n * 0.693359375 is exact: 9 + 8 bits
    float p = 1.9875691500e-4;
    p = p * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    p = p * (r * r) + r + 1.0;
    // n + 127 without a conversion, which newer llvmpipe does lane by lane: the sum is exact, its low bits are n.
    return p * uintBitsToFloat((floatBitsToUint(n + 12582912.0) + 127u) << 23);
}
