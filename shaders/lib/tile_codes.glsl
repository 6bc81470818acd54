// Hadamard mix and codes of a row from tiles in registers. Lanes are neighbours of a row; a tile is what one Hadamard needs of TILE
// outputs of the dense mix, POWER * TILE vectors in registers.
// Needs: interface/quantise_rows.h, lib/quantiser.glsl, GL_KHR_subgroup_basic and _shuffle; const uint LANES, WIDTH, FORMAT;
//        CORE, STRIDE (a multiple of 4 LANES), POWER and TILE <= CORE of the mix; const bool MIXES, false where there is none and
//        CORE is 1 and POWER a number of vectors; buffer rows[]; uint lane; MIX_SCALE;
//        uvec2 rowAt, matrixAt: addresses of the row and of the dense mix's matrix as in mix_dense.comp, PADDED floats a row
//        (CORE > 1 only), read through buffer Floats { float at[]; }; float rowValue(uvec2 at, uint first): elements first ..
//        first + LANES - 1 of the row's floats from `at` on, one a lane, `first` a multiple of 4.
// Gives: float v[VECTORS]; void writeTileCodes(uint row).

const uint VECTORS = TILE * POWER;
const uint APART = CORE * STRIDE;                              // between elements of a Hadamard
const uint TILES = (CORE + TILE - 1) / TILE;                  // the last one overlaps the one before
const uint GROUPS = WIDTH / (POWER * APART) * STRIDE / LANES;  // of LANES columns
float v[VECTORS];
uint words[VECTORS];

// The row's first column of group `group`.
uint columnOf(uint group) {
    const uint perUnit = STRIDE / LANES;
    return group / perUnit * (POWER * APART) + group % perUnit * LANES;
}
uint firstOutputOf(uint tile) { return min(tile * TILE, CORE - TILE); }

// Sets v[i * POWER + o], i < TILE, to what the dense mix leaves of columns column + lane of its output firstOutput + i in
// element o of the Hadamard mix.
void loadTile(uint column, uint firstOutput) {
    const uvec2 at = advance(rowAt, column * 4);
    if (CORE == 1) {
        [[unroll]] for (uint o = 0; o < POWER; ++o) v[o] = rowValue(at, o * APART);
        return;
    }
    const uvec2 matrix = advance(matrixAt, firstOutput * 4);
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) v[e] = 0;
    [[unroll]] for (uint j = 0; j < CORE; ++j) {
        float factors[TILE];
        [[unroll]] for (uint i = 0; i < TILE; ++i) factors[i] = Floats(matrix).at[j * PADDED + i];
        [[unroll]] for (uint o = 0; o < POWER; ++o) {
            const float value = rowValue(at, o * APART + j * STRIDE);
            [[unroll]] for (uint i = 0; i < TILE; ++i) v[i * POWER + o] = fma(factors[i], value, v[i * POWER + o]);
        }
    }
}

void mixTile(uint column, uint firstOutput) {
    loadTile(column, firstOutput);
    if (!MIXES) return;
    [[unroll]] for (uint h = 1; h < POWER; h *= 2) {
        [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
            if ((e & h) == 0) {
                const float a = v[e], b = v[e | h];
                v[e] = a + b;
                v[e | h] = a - b;
            }
        }
    }
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) v[e] *= MIX_SCALE;
}

// Loops end where they are tested, see Loops in integer_linear_address.comp. Their condition, which is always true, is there
// since llvmpipe would else take masks and addresses that a loop's first round computed for all code after it, and keep
// them as variables: then no loads join (5 times slower).
#define ALWAYS if (lane < LANES)

// Byte b of this lane's word is code b LANES + lane of 4 LANES neighbours; what it stores are codes 4 lane .. 4 lane + 3.
uint neighbours(uint word) {
    const uint shift = 4 * lane / LANES * 8;
    uint result = 0;
    [[unroll]] for (uint b = 0; b < 4; ++b) {
        result |= ((subgroupShuffle(word, (4 * lane + b) % LANES) >> shift) & 0xFFu) << (8 * b);
    }
    return result;
}

// {min(0, x), max(0, x)} of what lanes hold the parts of.
vec2 rangeOf(vec4 low, vec4 high) {
    vec2 range = vec2(min(min(low.x, low.y), min(low.z, low.w)), max(max(high.x, high.y), max(high.z, high.w)));
    [[unroll]] for (uint step = 1; step < LANES; step *= 2) {
        range = vec2(min(range.x, subgroupShuffleXor(range.x, step)), max(range.y, subgroupShuffleXor(range.y, step)));
    }
    return range;
}

// Codes of the tile in v, as byte `part` of words; returns the sum of those that no tile before this one has.
int packTile(Quantiser quantiser, uint tile, uint firstOutput, uint part) {
    int sum = 0;
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
        const int code = quantise(quantiser, v[e]);
        words[e] |= (uint(code) & 0xFFu) << (8 * part);
        sum += firstOutput + e / POWER >= tile * TILE ? code : 0;
    }
    return sum;
}

// The row's range must be known before its codes, so every tile is computed twice: to store it and read it again would cost more,
// llvmpipe's store of a vector takes as long as some 80 of its products. Both times are one loop, since the driver takes seconds
// to compile a tile.
void writeTileCodes(uint row) {
    const uint header = row * (4 + WIDTH / 4);
    float scale = 0;
    Quantiser quantiser = quantiserOf(vec2(0), scale);
    vec4 low = vec4(0), high = vec4(0);
    int sum = 0;
    uint pass = 0;
    ALWAYS do {
        uint tile = 0;  // of 4 LANES columns
        ALWAYS do {
            const uint column = columnOf(tile / TILES * 4), output_ = tile % TILES, firstOutput = firstOutputOf(output_);
            [[unroll]] for (uint e = 0; e < VECTORS; ++e) words[e] = 0;
            uint part = 0;
            ALWAYS do {
                mixTile(column + part * LANES, firstOutput);
                if (pass == 0) {
                    [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
                        low[e % 4] = min(low[e % 4], v[e]);
                        high[e % 4] = max(high[e % 4], v[e]);
                    }
                } else {
                    sum += packTile(quantiser, output_, firstOutput, part);
                }
                ++part;
            } while (part < 4);
            if (pass == 1) {
                [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
                    const uint first = column + e % POWER * APART + (firstOutput + e / POWER) * STRIDE;
                    rows[header + 4 + first / 4 + lane] = neighbours(words[e]);
                }
            }
            ++tile;
        } while (tile < GROUPS / 4 * TILES);
        if (pass == 0) quantiser = quantiserOf(rangeOf(low, high), scale);
        ++pass;
    } while (pass < 2);
    [[unroll]] for (uint step = 1; step < LANES; step *= 2) sum += subgroupShuffleXor(sum, step);
    if (lane != 0) return;
    rows[header] = floatBitsToUint(scale);
    rows[header + 1] = uint(quantiser.zero);
    rows[header + 2] = uint(sum);
    rows[header + 3] = 0;
}
