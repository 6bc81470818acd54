// Rope, cache and attention of one row for one key head, in registers: the formulas of rope_store.comp and attention.comp.
//
// Lanes are neighbours of a head's dimension; of scores, probabilities, maxima and totals lane l belongs to query l % QUERIES.
// Needs: interface/row_program.h, lib/row_values.glsl, lib/exp.glsl, GL_KHR_shader_subgroup_basic and _shuffle; const uint LANES,
//        DIM, a multiple of 2 LANES, and QUERIES, a power of two up to LANES, that are computed together; uint lane;
//        ProgramStep task; ALWAYS, see lib/tile_codes.glsl; WrittenFloats { float at[]; }, coherent.
// Gives: attendHead(keyHead, position).

const uint HEAD_VECTORS = DIM / LANES;
const uint HALF_VECTORS = HEAD_VECTORS / 2;
const uint KEYS = 4;  // at once: loads of outputs and their rescaling are shared by so many
const float MASKED = -1e30;

float cosines[HALF_VECTORS];
float sines[HALF_VECTORS];
float rotated[HEAD_VECTORS];
float queries[QUERIES * HEAD_VECTORS];
float attended[QUERIES * HEAD_VECTORS];
float products_[QUERIES];

void loadAngles(uvec2 at) {
    [[unroll]] for (uint i = 0; i < HALF_VECTORS; ++i) {
        cosines[i] = sines[i] = 0;
        [[unroll]] for (uint l = 0; l < LANES; l += 2) {
            const vec4 two = Quads(at).at[(i * LANES + l) / 2];
            cosines[i] = lane == l ? two.x : lane == l + 1 ? two.z : cosines[i];
            sines[i] = lane == l ? two.y : lane == l + 1 ? two.w : sines[i];
        }
    }
}

void rotateHead(uvec2 at) {
    [[unroll]] for (uint i = 0; i < HALF_VECTORS; ++i) {
        const float a = rowValue(at, i * LANES), b = rowValue(at, DIM / 2 + i * LANES);
        rotated[i] = a * cosines[i] - b * sines[i];
        rotated[HALF_VECTORS + i] = b * cosines[i] + a * sines[i];
    }
}

void storeKey(uint keyHead, uint position) {
    const uvec2 row = uvec2(task.qkvLow, task.qkvHigh);
    const uint to = (position * task.kvHeads + keyHead) * DIM + lane;
    rotateHead(advance(row, (task.ratio * task.kvHeads + keyHead) * DIM * 4));
    const uvec2 value = advance(row, ((task.ratio + 1) * task.kvHeads + keyHead) * DIM * 4);
    [[unroll]] for (uint i = 0; i < HEAD_VECTORS; ++i) {
        WrittenFloats(uvec2(task.keysLow, task.keysHigh)).at[to + i * LANES] = rotated[i];
        WrittenFloats(uvec2(task.valuesLow, task.valuesHigh)).at[to + i * LANES] = rowValue(value, i * LANES);
    }
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
}

// Lane l's is the sum of products_[l % QUERIES] over all lanes: pairs are added and halved, half of the lanes for each.
float sumsByQuery() {
    [[unroll]] for (uint h = 1; h < QUERIES; h *= 2) {
        [[unroll]] for (uint i = 0; i < QUERIES; i += 2 * h) {
            const float own = (lane & h) == 0 ? products_[i] : products_[i + h];
            const float other = (lane & h) == 0 ? products_[i + h] : products_[i];
            products_[i] = own + subgroupShuffleXor(other, h);
        }
    }
    float sum = products_[0];
    [[unroll]] for (uint h = QUERIES; h < LANES; h *= 2) sum += subgroupShuffleXor(sum, h);
    return sum;
}

float scoreOf(uvec2 key) {
    [[unroll]] for (uint q = 0; q < QUERIES; ++q) products_[q] = 0;
    [[unroll]] for (uint i = 0; i < HEAD_VECTORS; ++i) {
        const float k = rowValue(key, i * LANES);
        [[unroll]] for (uint q = 0; q < QUERIES; ++q) products_[q] = fma(queries[q * HEAD_VECTORS + i], k, products_[q]);
    }
    return sumsByQuery() * task.scale;
}

// Of the queries first .. first + QUERIES - 1 of the key head; past its ratio the last one again.
void attendQueries(uint keyHead, uint first, uint position) {
    [[unroll]] for (uint q = 0; q < QUERIES; ++q) {
        const uint head = keyHead * task.ratio + min(first + q, task.ratio - 1);
        rotateHead(advance(uvec2(task.qkvLow, task.qkvHigh), head * DIM * 4));
        [[unroll]] for (uint i = 0; i < HEAD_VECTORS; ++i) {
            queries[q * HEAD_VECTORS + i] = rotated[i];
            attended[q * HEAD_VECTORS + i] = 0;
        }
    }
    const uint stride = task.kvHeads * DIM * 4;  // of a key in bytes
    const uvec2 keys = advance(uvec2(task.keysLow, task.keysHigh), keyHead * DIM * 4);
    const uvec2 values = advance(uvec2(task.valuesLow, task.valuesHigh), keyHead * DIM * 4);
    float maximum = MASKED;
    float total = 0;
    uint key = 0;
    ALWAYS do {
        float p[KEYS];
        float largest = maximum;
        [[unroll]] for (uint t = 0; t < KEYS; ++t) {
            p[t] = scoreOf(advance(keys, min(key + t, position) * stride));
            largest = max(largest, p[t]);  // of a key past the end: the last one's
        }
        const float rescale = expAccurate(maximum - largest);
        maximum = largest;
        total *= rescale;
        [[unroll]] for (uint t = 0; t < KEYS; ++t) {
            p[t] = key + t <= position ? expAccurate(p[t] - maximum) : 0.0;
            total += p[t];
        }
        [[unroll]] for (uint i = 0; i < HEAD_VECTORS; ++i) {
            float value[KEYS];
            [[unroll]] for (uint t = 0; t < KEYS; ++t) value[t] = rowValue(advance(values, min(key + t, position) * stride), i * LANES);
            [[unroll]] for (uint q = 0; q < QUERIES; ++q) {
                float sum = attended[q * HEAD_VECTORS + i] * subgroupShuffle(rescale, q);
                [[unroll]] for (uint t = 0; t < KEYS; ++t) sum = fma(value[t], subgroupShuffle(p[t], q), sum);
                attended[q * HEAD_VECTORS + i] = sum;
            }
        }
        key += KEYS;
    } while (key <= position);
    [[unroll]] for (uint q = 0; q < QUERIES; ++q) {
        const uint to = (keyHead * task.ratio + first + q) * DIM + lane;
        const float all = subgroupShuffle(total, q);
        if (first + q < task.ratio) {
            [[unroll]] for (uint i = 0; i < HEAD_VECTORS; ++i)
                WrittenFloats(uvec2(task.yLow, task.yHigh)).at[to + i * LANES] = attended[q * HEAD_VECTORS + i] / all;
        }
    }
}

void attendHead(uint keyHead, uint position) {
    loadAngles(advance(uvec2(task.anglesLow, task.anglesHigh), position * DIM * 4));
    storeKey(keyHead, position);
    uint first = 0;
    ALWAYS do {
        attendQueries(keyHead, first, position);
        first += QUERIES;
    } while (first < task.ratio);
}
