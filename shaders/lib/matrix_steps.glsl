// Steps of the tiles of integer_linear_coopmat.comp on their way from memory: words that invocations hold until there is room in
// shared memory, then bytes in the order of K there.
// Needs: the sizes and buffers of integer_linear_coopmat.comp, its shared quads, columnScales and columnSums, and push.
// Gives: rowWord(row), parameterOf(column, group); findLoads() (with AHEAD), loadStep(slot, block), storeStep(slot, side);
//        loadColumns(group), storeColumns(group).

const uint ACTIVATION_LOADS = (2 * STEP * TILE_ROWS + THREADS - 1) / THREADS;  // of an invocation
const uint WEIGHT_LOADS = (UNITS_OF_BLOCK * STEP * TILE_COLUMNS + THREADS - 1) / THREADS;
const uint COLUMN_LOADS = (TILE_COLUMNS + THREADS - 1) / THREADS;
uvec4 nextActivations[DEPTH * ACTIVATION_LOADS];
uvec4 nextWeights[DEPTH * WEIGHT_LOADS];
uvec2 nextColumns[COLUMN_LOADS];

uint rowWord(uint row) {
    return min(push.firstRow + gl_WorkGroupID.y * TILE_ROWS + row, push.rows - 1) * (1 + 2 * push.blocks);
}

// The weight tile of a column; past the end the last one's, whose results are not stored.
uint tileOf(uint column) { return min(column / LANES, (push.panelRows + LANES - 1) / LANES - 1); }

// {scale, code sum} of a group, or {bias, 0} for group == push.groups.
uvec2 parameterOf(uint column, uint group) {
    const uint tile = tileOf(column);
    const uvec4 both = parameters[(tile / 2 * (push.groups + 1) + group) * LANES + column % LANES];
    return tile % 2 == 0 ? both.xy : both.zw;
}

// Row of the tile and word of the step that load `at` of the tile's activations brings. Neighbours take the words of a row,
// and invocations that store at once take rows that lie in other banks.
uint rowOfLoad(uint at) {
    const uint i = at / (2 * STEP), turn = i % 8 * (2 * STEP);
    return i - i % 8 + turn % 8 + turn / 8;
}
uint wordOfLoad(uint at) { return at % (2 * STEP); }

uint activationAt[ACTIVATION_LOADS];  // with AHEAD
uint weightAt[WEIGHT_LOADS];

void findLoads() {
    [[unroll]] for (uint i = 0; i < ACTIVATION_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x;
        activationAt[i] = rowWord(min(rowOfLoad(at), TILE_ROWS - 1)) + 1 + wordOfLoad(at);
    }
    [[unroll]] for (uint i = 0; i < WEIGHT_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x, column = gl_WorkGroupID.x * TILE_COLUMNS + at % TILE_COLUMNS;
        const uint unit = min(at / TILE_COLUMNS, STEP * UNITS_OF_BLOCK - 1);
        weightAt[i] = (tileOf(column) * push.blocks * UNITS_OF_BLOCK + unit) * LANES + column % LANES;
    }
}

const uint NO_WEIGHT = WEIGHT_BITS == 4 ? 0x88888888u : 0u;

void loadStepAhead(uint slot, uint block) {
    const uint from = min(block, push.blocks - STEP);
    [[unroll]] for (uint i = 0; i < ACTIVATION_LOADS; ++i)
        nextActivations[slot * ACTIVATION_LOADS + i] = activations[activationAt[i] + 2 * from];
    [[unroll]] for (uint i = 0; i < WEIGHT_LOADS; ++i) {
        const uvec4 words = codes[weightAt[i] + from * UNITS_OF_BLOCK * LANES];
        nextWeights[slot * WEIGHT_LOADS + i] = block < push.blocks ? words : uvec4(NO_WEIGHT);
    }
}

// Limits and addresses of each load by themselves: with one limit for all, or without any, the same tile took an H100 a third
// longer.
void loadStepNow(uint slot, uint block) {
    [[unroll]] for (uint i = 0; i < ACTIVATION_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x, row = rowOfLoad(at);
        const uint word = min(2 * block + wordOfLoad(at), 2 * push.blocks - 1);
        if (row < TILE_ROWS) nextActivations[slot * ACTIVATION_LOADS + i] = activations[rowWord(row) + 1 + word];
    }
    [[unroll]] for (uint i = 0; i < WEIGHT_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x;
        const uint column = gl_WorkGroupID.x * TILE_COLUMNS + at % TILE_COLUMNS;
        const uint unit = block * UNITS_OF_BLOCK + at / TILE_COLUMNS, units = push.blocks * UNITS_OF_BLOCK;
        if (at >= UNITS_OF_BLOCK * STEP * TILE_COLUMNS) continue;
        const uvec4 words = codes[(tileOf(column) * units + min(unit, units - 1)) * LANES + column % LANES];
        nextWeights[slot * WEIGHT_LOADS + i] = unit < units ? words : uvec4(NO_WEIGHT);
    }
}

void loadStep(uint slot, uint block) {
    if (AHEAD) loadStepAhead(slot, block);
    else loadStepNow(slot, block);
}

// Unsigned nibbles q + 8 in the high halves of bytes to int8 16 q.
uvec2 signedBytes(uvec2 nibbles) { return (nibbles & 0xF0F0F0F0u) ^ 0x80808080u; }

void putQuad(uint row, uint word, uvec4 words) {
    if (CHUNK == 16) {
        quads[row * ROW_QUADS + word] = words;
    } else {
        quads[row * ROW_QUADS + 2 * word] = uvec4(words.xy, 0, 0);
        quads[row * ROW_QUADS + 2 * word + 1] = uvec4(words.zw, 0, 0);
    }
}

void storeStep(uint slot, uint side) {
    const uint first = side * (TILE_ROWS + TILE_COLUMNS);
    [[unroll]] for (uint i = 0; i < ACTIVATION_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x;
        if (at >= 2 * STEP * TILE_ROWS) continue;
        putQuad(first + rowOfLoad(at), wordOfLoad(at), nextActivations[slot * ACTIVATION_LOADS + i]);
    }
    [[unroll]] for (uint i = 0; i < WEIGHT_LOADS; ++i) {
        const uint at = i * THREADS + gl_LocalInvocationID.x;
        if (at >= UNITS_OF_BLOCK * STEP * TILE_COLUMNS) continue;
        const uint row = first + TILE_ROWS + at % TILE_COLUMNS, word = at / TILE_COLUMNS;
        const uvec4 words = nextWeights[slot * WEIGHT_LOADS + i];
        if (WEIGHT_BITS == 4) {
            const uvec4 turned = (words << 16) | (words >> 16);  // see kernels/linear_weights.h
            putQuad(row, 2 * word, uvec4(signedBytes(turned.xy << 4), signedBytes(turned.xy)).xzyw);
            putQuad(row, 2 * word + 1, uvec4(signedBytes(turned.zw << 4), signedBytes(turned.zw)).xzyw);
        } else {
            putQuad(row, word, words);
        }
    }
}

void loadColumns(uint group) {
    [[unroll]] for (uint i = 0; i < COLUMN_LOADS; ++i) {
        nextColumns[i] = parameterOf(gl_WorkGroupID.x * TILE_COLUMNS + i * THREADS + gl_LocalInvocationID.x, group);
    }
}

void storeColumns(uint group) {
    [[unroll]] for (uint i = 0; i < COLUMN_LOADS; ++i) {
        const uint column = i * THREADS + gl_LocalInvocationID.x;
        if (column >= TILE_COLUMNS) continue;
        columnScales[group % GROUPS_HELD * TILE_COLUMNS + column] = uintBitsToFloat(nextColumns[i].x);
        columnSums[group % GROUPS_HELD * TILE_COLUMNS + column] = int(nextColumns[i].y);
    }
}
