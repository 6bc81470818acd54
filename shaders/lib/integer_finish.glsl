// What integer linear layers do with their sums: scales, zero points, bias and residual, in the order of the contract.
// Float arithmetic of each output is written out by the preprocessor, not by an unrolled loop: the optimiser's copies of a
// loop's body lose their NoContraction, and a fused multiply-add rounds once where the contract rounds twice.
// Needs: MOST_ROWS and TILE_N, numbers; HAS_ROW(m), whether the tile has row m; LANES, lane, push; sums and results
//        [MOST_ROWS * TILE_N]; rowHeader(m): {scale, zero, -, -}; activationSum(m); parameterPair(index);
//        WEIGHT_OFFSET, ACTIVATION_OFFSET, SUM_SHIFT; y[], or macros TILE_GROUP, which TILE_N weight tiles, and Y_AT(index).
// Gives: finishGroup(group, zeros): adds a group's sums to results; storeTile(firstRow): results to y.

#ifndef TILE_GROUP
#define TILE_GROUP gl_WorkGroupID.x
#define Y_AT(index) y[index]
#endif
#if TILE_N == 2
#define EACH_N(DO, m) DO(m, 0) DO(m, 1)
#elif TILE_N == 4
#define EACH_N(DO, m) DO(m, 0) DO(m, 1) DO(m, 2) DO(m, 3)
#else
#error TILE_N must be 2 or 4
#endif
#if MOST_ROWS == 1
#define EACH_TILE(DO) EACH_N(DO, 0)
#elif MOST_ROWS == 4
#define EACH_TILE(DO) EACH_N(DO, 0) EACH_N(DO, 1) EACH_N(DO, 2) EACH_N(DO, 3)
#elif MOST_ROWS == 8
#define EACH_TILE(DO)                                                \
    EACH_N(DO, 0) EACH_N(DO, 1) EACH_N(DO, 2) EACH_N(DO, 3)          \
    EACH_N(DO, 4) EACH_N(DO, 5) EACH_N(DO, 6) EACH_N(DO, 7)
#else
#error MOST_ROWS must be 1, 4 or 8
#endif

// {scale, code sum} of a group, or {bias, 0} for group == push.groups, for all tiles of the workgroup.
void loadParameters(uint group, out uvec2 parameters[TILE_N]) {
    const uint pairs = (push.panelRows + 2 * LANES - 1) / (2 * LANES);
    [[unroll]] for (uint n = 0; n < TILE_N; n += 2) {
        const uint pair = min((TILE_GROUP * TILE_N + n) / 2, pairs - 1);
        const uvec4 both = parameterPair((pair * (push.groups + 1) + group) * LANES + lane);
        parameters[n] = both.xy;
        parameters[n + 1] = both.zw;
    }
}

void finishGroup(uint group, int zeros[MOST_ROWS]) {
    uvec2 scaleAndSum[TILE_N];
    loadParameters(group, scaleAndSum);
    int offsets[MOST_ROWS];
    [[unroll]] for (uint m = 0; m < MOST_ROWS; ++m) offsets[m] = HAS_ROW(m) ? WEIGHT_OFFSET * int(activationSum(m)) : 0;
#define ADD_GROUP(m, n)                                                                                             \
    if (HAS_ROW(m)) {                                                                                               \
        const int correction = (ACTIVATION_OFFSET + zeros[m]) * int(scaleAndSum[n].y) + offsets[m];                 \
        precise float term =                                                                                        \
            float((int(sums[(m) * TILE_N + n]) >> SUM_SHIFT) - correction) * uintBitsToFloat(scaleAndSum[n].x);     \
        precise float result = results[(m) * TILE_N + n] + term;                                                    \
        results[(m) * TILE_N + n] = result;                                                                         \
    }
    EACH_TILE(ADD_GROUP)
}

void storeTile(uint firstRow) {
    uvec2 bias[TILE_N];
    loadParameters(push.groups, bias);
#define STORE(m, n)                                                                             \
    if (HAS_ROW(m)) {                                                                           \
        const uint row = firstRow + m;                                                          \
        const uint column = (TILE_GROUP * TILE_N + n) * LANES + lane;                           \
        const float scale = uintBitsToFloat(rowHeader(m).x);                                    \
        precise float value = results[(m) * TILE_N + n] * scale;                                \
        value = value + uintBitsToFloat(bias[n].x);                                             \
        if (row < push.rows && column < push.panelRows) {                                       \
            const uint index = row * push.outputs + push.firstOutput + column;                  \
            if (push.accumulate != 0) value = value + Y_AT(index);                              \
            Y_AT(index) = value;                                                                \
        }                                                                                       \
    }
    EACH_TILE(STORE)
}
