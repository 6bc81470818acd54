// Hadamard mix and codes of a row from tiles in registers, see mix_codes.comp.
// Needs: interface/quantise_rows.h, lib/quantiser.glsl, GL_KHR_subgroup_basic and _shuffle; const uint LANES, WIDTH, FORMAT;
//        CORE, STRIDE (a multiple of 4 LANES), POWER and TILE <= CORE of the mix; buffer rows[]; uint lane; MIX_SCALE;
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

// {min(0, x), max(0, x)} of the mixed row.
vec2 mixedRange() {
    vec4 low = vec4(0);
    vec4 high = vec4(0);
    uint tile = 0;
    ALWAYS do {
        mixTile(columnOf(tile / TILES), firstOutputOf(tile % TILES));
        [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
            low[e % 4] = min(low[e % 4], v[e]);
            high[e % 4] = max(high[e % 4], v[e]);
        }
        ++tile;
    } while (tile < GROUPS * TILES);
    vec2 range = vec2(min(min(low.x, low.y), min(low.z, low.w)), max(max(high.x, high.y), max(high.z, high.w)));
    [[unroll]] for (uint step = 1; step < LANES; step *= 2) {
        range = vec2(min(range.x, subgroupShuffleXor(range.x, step)), max(range.y, subgroupShuffleXor(range.y, step)));
    }
    return range;
}

// Byte b of this lane's word is code b LANES + lane of 4 LANES neighbours; what it stores are codes 4 lane .. 4 lane + 3.
uint neighbours(uint word) {
    const uint shift = 4 * lane / LANES * 8;
    uint result = 0;
    [[unroll]] for (uint b = 0; b < 4; ++b) {
        result |= ((subgroupShuffle(word, (4 * lane + b) % LANES) >> shift) & 0xFFu) << (8 * b);
    }
    return result;
}

// Writes the codes of 4 LANES columns; returns the sum of those that no tile before this one has.
int tileCodes(Quantiser quantiser, uint tile, uint column, uint header) {
    const uint firstOutput = firstOutputOf(tile);
    int sum = 0;
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) words[e] = 0;
    uint part = 0;
    ALWAYS do {
        mixTile(column + part * LANES, firstOutput);
        [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
            const int code = quantise(quantiser, v[e]);
            words[e] |= (uint(code) & 0xFFu) << (8 * part);
            sum += firstOutput + e / POWER >= tile * TILE ? code : 0;
        }
        ++part;
    } while (part < 4);
    [[unroll]] for (uint e = 0; e < VECTORS; ++e) {
        const uint first = column + e % POWER * APART + (firstOutput + e / POWER) * STRIDE;
        rows[header + 4 + first / 4 + lane] = neighbours(words[e]);
    }
    return sum;
}

void writeTileCodes(uint row) {
    float scale;
    const Quantiser quantiser = quantiserOf(mixedRange(), scale);
    const uint header = row * (4 + WIDTH / 4);
    int sum = 0;
    uint tile = 0;
    ALWAYS do {
        sum += tileCodes(quantiser, tile % TILES, columnOf(tile / TILES * 4), header);
        ++tile;
    } while (tile < GROUPS / 4 * TILES);
    [[unroll]] for (uint step = 1; step < LANES; step *= 2) sum += subgroupShuffleXor(sum, step);
    if (lane != 0) return;
    rows[header] = floatBitsToUint(scale);
    rows[header + 1] = uint(quantiser.zero);
    rows[header + 2] = uint(sum);
    rows[header + 3] = 0;
}
