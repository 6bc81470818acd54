// Block-diagonal transform of activations: y[m, b k + i] = sum_j B[b][i][j] x[m, b k + j], x as it is or a SwiGLU.
//
// Buffers   0 x [M, K] float32, for SwiGLU [M, 2K]; 1 blocks uvec4 [ceil(k/8)][K]: word c of output n = b k + i holds
//           the fp16 B[b][i][8c .. 8c+7], zero past the block's end; 2 y [M, K] float32.
// Mapping   an invocation owns up to TILE_N outputs of one block, LANES apart, and TILE_M rows. WorkGroupID.x walks the
//           blocks and inside a block its output tiles (`perBlock` of them), so that x is read at addresses which the
//           whole workgroup shares; y walks the rows.
// BASE      x is read at addresses that all lanes share, also where SCALARS says that a compiler makes scalar loads of those:
//           as shuffles with constant sources AMD's take an instruction for each value.
// SUBGROUP  LANES is the subgroup size. TILE_M x 8 vec4 of x (32 inputs) are spread over the lanes and go round by
//           shuffles with constant sources.
// TEXEL     x and blocks are texel buffers, see lib/rows4.glsl.
// ADDRESS   x and blocks are read at addresses that all lanes share, see integer_linear_address.comp; blocks in the order of
//           words, one after the other, so that a block is one run of memory: uint [K / k][ceil(k/8)][k / LANES][4][LANES],
//           k in both places that of the last block where that is smaller. LANES is the subgroup size and divides k and K; TILE_M is a
//           specialisation constant; products and sums are fused.
// SwiGLU    each input of a block is computed by its `perBlock` workgroups, which costs less than writing it and
//           reading it again.
// Tiles     TILE_M is a define: SwiftShader unrolls no loop whose bound is a specialisation constant, and arrays over
//           it would lie in memory. Of TILE_N narrow blocks use OWN.
// Rounding  float32 products and sums, j ascending; fp16 widened exactly.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef ADDRESS
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#endif
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

#include "interface/row_kernels.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint OWN = 4;
layout(constant_id = 2) const bool WIDE = true;  // K and k are multiples of 4
layout(constant_id = 3) const uint SOURCE = kSourceRows;
#ifdef ADDRESS
layout(constant_id = 4) const uint TILE_M = 1;           // 1, 4 or 8
layout(constant_id = 5) const bool WHOLE_STEPS = false;  // 32 divides all blocks
#define MOST_ROWS 8
const uint TILE_N = 8;
#define MULTIPLY_ADD(a, b, sum) fma(a, b, sum)
#else
#ifdef SUBGROUP
const bool WHOLE_STEPS = false;
#else
layout(constant_id = 4) const bool WHOLE_STEPS = false;  // 32 divides all blocks
#endif
#define MOST_ROWS TILE_M
const uint TILE_N = 4;
#define MULTIPLY_ADD(a, b, sum) ((sum) + (a) * (b))
#endif
const uint LANES = gl_WorkGroupSize.x;
layout(push_constant) uniform Push { BlockTransformPush push; };

#ifdef ADDRESS
#include "lib/address_units.glsl"
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 at[]; };
vec4 inputQuad(uint index) { return Quads(uvec2(push.inputsLow, push.inputsHigh)).at[index]; }
uvec4 blockWord(uint index) { return unitAt(advance(uvec2(push.blocksLow, push.blocksHigh), index * 16)); }
#else
#include "lib/rows4.glsl"
READ_ROWS(0, X, x)
#ifdef TEXEL
layout(set = 0, binding = 1) uniform usamplerBuffer blocks;
uvec4 blockWord(uint index) { return texelFetch(blocks, int(index)); }
#else
layout(set = 0, binding = 1, std430) readonly buffer Blocks { uvec4 blocks[]; };
uvec4 blockWord(uint index) { return blocks[index]; }
#endif
#endif
layout(set = 0, binding = 2, std430) writeonly buffer Y { float y[]; };

#include "lib/exp.glsl"
#include "lib/float_words.glsl"

uint lane;
uint firstRow;
uint firstInput;  // of the block, in a row
uint blockEnd;    // inputs of this block

#ifdef ADDRESS
// Inputs 4 quad .. 4 quad + 3 of the block at row `base`, in quads. Without a branch, whose masks would cost more than the
// load: past the block its last quad is read and dropped.
vec4 quadAt(uint base, uint quad) {
    if (WHOLE_STEPS) return inputQuad(base + quad);
    const uint quads = blockEnd / 4;
    const vec4 v = inputQuad(base + min(quad, quads - 1));
    return vec4(quad < quads ? v.x : 0, quad < quads ? v.y : 0, quad < quads ? v.z : 0, quad < quads ? v.w : 0);
}
uint rowQuad(uint m, uint rowWidth) { return (min(firstRow + m, push.rows - 1) * rowWidth + firstInput) / 4; }

// Of a SwiGLU each lane computes every LANES-th of 32 inputs, which then go round by shuffles.
const uint HELD = 32 / LANES;
float held[MOST_ROWS * HELD];

float laneInput(uint base, uint quad) {
    float value = 0;
    [[unroll]] for (uint first = 0; first < LANES; first += 4) {
        const vec4 four = quadAt(base, quad + first / 4);
        [[unroll]] for (uint e = 0; e < 4; ++e) value = gl_SubgroupInvocationID == first + e ? four[e] : value;
    }
    return value;
}
void loadStep(uint quad) {
    if (SOURCE != kSourceSwiGlu) return;
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        const uint gates = rowQuad(m, 2 * push.width);
        [[unroll]] for (uint i = 0; i < HELD; ++i) {
            const float gate = laneInput(gates, quad + i * LANES / 4);
            const float up = laneInput(gates + push.width / 4, quad + i * LANES / 4);
            held[m * HELD + i] = gate / (1.0 + expAccurate(-gate)) * up;
        }
    }
}
float heldInput(uint m, uint j) { return subgroupShuffle(held[m * HELD + j / LANES], j % LANES); }
vec4 stepQuad(uint m, uint first, uint quad) {
    if (SOURCE != kSourceSwiGlu) return quadAt(rowQuad(m, push.width), first + quad);
    const uint j = 4 * quad;
    return vec4(heldInput(m, j), heldInput(m, j + 1), heldInput(m, j + 2), heldInput(m, j + 3));
}
#else
// Inputs 4 quad .. 4 quad + 3 of the block in row firstRow + m; zero past the block, the last row again past M.
vec4 activations(uint m, uint quad) {
    const uint row = min(firstRow + m, push.rows - 1);
    // Where it can be, without the condition, which makes each load wait for the one before. (Two ways to the loads would be
    // more than SwiftShader's compiler can hold.)
    if (WIDE && !WHOLE_STEPS && 4 * quad >= blockEnd) return vec4(0);
    if (SOURCE == kSourceSwiGlu) {
        const vec4 gate = LOAD4(x, row * 2 * push.width + firstInput, quad, blockEnd);
        const vec4 up = LOAD4(x, row * 2 * push.width + push.width + firstInput, quad, blockEnd);
        const vec4 e = vec4(expAccurate(-gate.x), expAccurate(-gate.y), expAccurate(-gate.z), expAccurate(-gate.w));
        return gate / (1.0 + e) * up;
    }
    return LOAD4(x, row * push.width + firstInput, quad, blockEnd);
}

#ifdef SUBGROUP
const uint HELD = (TILE_M * 8 + LANES - 1) / LANES;
vec4 held[HELD];  // vec4 e = m * 8 + quad of 32 inputs is held[e / LANES] of lane e % LANES

void loadStep(uint quad) {
    [[unroll]] for (uint i = 0; i < HELD; ++i) {
        const uint e = i * LANES + lane;
        held[i] = activations(e / 8, quad + e % 8);
    }
}
vec4 stepQuad(uint m, uint first, uint quad) {
    const uint e = m * 8 + quad;
    return subgroupShuffle(held[e / LANES], e % LANES);
}
#else
void loadStep(uint quad) {}
vec4 stepQuad(uint m, uint first, uint quad) { return activations(m, first + quad); }
#endif
#endif

void main() {
#ifdef ADDRESS
    lane = gl_SubgroupInvocationID;
#else
    lane = gl_LocalInvocationID.x;
#endif
    firstRow = push.firstRow + gl_WorkGroupID.y * TILE_M;
    const uint perBlock = (push.block + OWN * LANES - 1) / (OWN * LANES);
    firstInput = gl_WorkGroupID.x / perBlock * push.block;
    blockEnd = min(push.block, push.width - firstInput);
    const uint firstOutput = gl_WorkGroupID.x % perBlock * OWN * LANES;
    const uint words = (blockEnd + 7) / 8;
    uint column[TILE_N];
#ifdef ADDRESS
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) column[n] = firstInput + min(firstOutput + n * LANES, blockEnd - LANES);
#else
    [[unroll]] for (uint n = 0; n < TILE_N; ++n) column[n] = firstInput + min(firstOutput + n * LANES + lane, blockEnd - 1);
#endif

    float sums[MOST_ROWS * TILE_N];
    [[unroll]] for (uint i = 0; i < TILE_M * TILE_N; ++i) sums[i] = 0;
    for (uint step = 0; step < words; step += 4) {
#ifdef ADDRESS
        const uint first = WHOLE_STEPS ? min(step, words - 4) : step;  // see Loops in integer_linear_address.comp
#else
        const uint first = step;
#endif
        loadStep(2 * first);
        [[unroll]] for (uint part = 0; part < 4; ++part) {
            const uint word = min(first + part, words - 1);  // past the end x is zero
            vec4 low[TILE_N];
            vec4 high[TILE_N];
            [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
                if (n < OWN) {
#ifdef ADDRESS
                    const uvec4 w = blockWord(firstInput * ((push.block + 7) / 8) + word * blockEnd + column[n] - firstInput);
#else
                    const uvec4 w = blockWord(word * push.width + column[n]);
#endif
                    low[n] = fourHalves(w.xy, 1);
                    high[n] = fourHalves(w.zw, 1);
                }
            }
            [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
                const vec4 a = stepQuad(m, 2 * first, 2 * part);
                const vec4 b = stepQuad(m, 2 * first, 2 * part + 1);
                [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
                    if (n < OWN) {
                        float sum = sums[m * TILE_N + n];
                        sum = MULTIPLY_ADD(a.x, low[n].x, sum);
                        sum = MULTIPLY_ADD(a.y, low[n].y, sum);
                        sum = MULTIPLY_ADD(a.z, low[n].z, sum);
                        sum = MULTIPLY_ADD(a.w, low[n].w, sum);
                        sum = MULTIPLY_ADD(b.x, high[n].x, sum);
                        sum = MULTIPLY_ADD(b.y, high[n].y, sum);
                        sum = MULTIPLY_ADD(b.z, high[n].z, sum);
                        sum = MULTIPLY_ADD(b.w, high[n].w, sum);
                        sums[m * TILE_N + n] = sum;
                    }
                }
            }
        }
    }
    [[unroll]] for (uint m = 0; m < TILE_M; ++m) {
        [[unroll]] for (uint n = 0; n < TILE_N; ++n) {
            const uint i = firstOutput + n * LANES + lane;
            if (n < OWN && firstRow + m < push.rows && i < blockEnd) {
                y[(firstRow + m) * push.width + firstInput + i] = sums[m * TILE_N + n];
            }
        }
    }
}
