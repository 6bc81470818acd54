// y = W x + b as in integer_linear.comp for 4-bit weights, on drivers where loads from addresses that all lanes share are
// scalar loads, and scalar loads of neighbouring words that go to neighbouring lanes become one vector load: llvmpipe of
// newer Mesa. A block's weights then cost a few instructions, where a texel fetch costs tens of cycles.
//
// Buffers   0 activations, 1 codes, 2 parameters: read through their addresses in the push constants, since loads through
//           descriptors check bounds, word by word; 3 y. As in integer_linear.comp, but for codes and parameters in the
//           order of words, see kernels/linear_weights.h.
// Mapping   as there: an invocation owns row `lane` of TILE_N weight tiles and TILE_M rows of x
// Lanes     word i of a row's block lies in lane i and is prepared there; its two pairs go round by shuffles
// Loops     llvmpipe walks the rest of a loop's body once more with no lane active, and a scalar load has no mask: so loops end
//           where they are tested, and no address lies past its buffer even then.
// Sizes     TILE_M is a specialisation constant: these drivers unroll, and keep arrays in registers
// Requires  subgroups of LANES = 8 to 64, a power of two
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "interface/integer_linear.h"
#include "lib/integer_product_w4.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint TILE_M = 1;  // 1, 4 or 8
layout(constant_id = 2) const uint UNROLL = 1;  // blocks of one round: llvmpipe's loops cost some 60 cycles a round
layout(constant_id = 3) const bool WHOLE_GROUPS = false;  // a round is a group: no loop inside
#define TILE_N 4
#define MOST_ROWS 8
const uint LANES = gl_WorkGroupSize.x;

layout(push_constant) uniform Push { IntegerLinearPush push; };
layout(set = 0, binding = 3, std430) buffer Y { float y[]; };
uint lane;
#include "lib/address_units.glsl"
#define ROW_ACCESS readonly
#include "lib/integer_words.glsl"

void main() {
    lane = gl_SubgroupInvocationID;
    multiplyTile(push.firstRow + gl_WorkGroupID.y * TILE_M);
}
