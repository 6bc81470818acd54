// One row through a decoder's layers in one dispatch: a table of steps that a few workgroups walk together, for drivers where
// loads at addresses that all lanes share are nearly free (integer_linear_address.comp) and a dispatch is dear: llvmpipe wakes
// its threads for each, and a token of a model of 1.1 B parameters took a third longer.
//
// Buffers   0 table of ProgramStep, 1 .. 5 what the steps read and write: all at their addresses; 6 counters uint [2 steps];
//           7 rows as in quantise_rows.comp, 8 scratch float32 [K]
// Steps     Every workgroup takes tasks of a step from its first counter until none is left, then waits until the second
//           counter says that all are done. A workgroup waits only for tasks that others have taken and so are at work on:
//           however few workgroups run at a time, even one after the other, there is no deadlock where a workgroup that has
//           begun goes on. The counters are zero before the first step.
// SINGLE    (push.single) one step, a workgroup a task, and no counters: for dispatches that run in parts
// Sites     two kinds, each with its constants: of the hidden size behind a norm (or rows as they are), and of the product's
//           size behind SwiGLU
// Codes     of all sites lie in the same memory: a step that writes them comes when those that read the ones before are done
// Loops     see integer_linear_address.comp and lib/tile_codes.glsl
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "interface/quantise_rows.h"
#include "interface/row_program.h"
#include "lib/integer_product_w4.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint UNROLL = 1;
layout(constant_id = 2) const bool WHOLE_GROUPS = false;
layout(constant_id = 3) const uint DIM = 64;     // D
layout(constant_id = 4) const uint QUERIES = 1;  // of a key head at once
#define TILE_M 1
#define TILE_N 4
#define MOST_ROWS 1
const uint LANES = gl_WorkGroupSize.x;

layout(push_constant) uniform Push { RowProgramPush program; };
layout(set = 0, binding = 6, std430) coherent buffer Counters { uint counters[]; };
layout(set = 0, binding = 7, std430) coherent buffer Rows { uint rows[]; };
layout(set = 0, binding = 8, std430) coherent buffer Scratch { float scratch[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer WrittenFloats { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Steps { ProgramStep at[]; };

uint lane;
ProgramStep task;
#define push task.linear
uint tileGroup;
#define TILE_GROUP tileGroup
#define Y_AT(index) WrittenFloats(uvec2(task.yLow, task.yHigh)).at[index]
#define ROW_ACCESS coherent
#include "lib/exp.glsl"
#include "lib/float_words.glsl"
#include "lib/address_units.glsl"
#include "lib/row_values.glsl"
#include "lib/integer_words.glsl"

#define SITE task.site
#define SITE_NORMS ((task.parts & kPartNorm) != 0)
#define SITE_CONSTANTS 5
#include "lib/site_row.glsl"
#include "lib/row_attention.glsl"

// A task of a site's input; once more below, for the other kind of site.
void hiddenSite(uint number) {
    if ((task.parts & kPartLeave) != 0) leavePart(0, number * task.share, min((number + 1) * task.share, WIDTH));
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
    if ((task.parts & kPartCodes) != 0) writeCodes(0);
}

#undef SITE_NORMS
#define SITE_NORMS true
#undef SITE_CONSTANTS
#define SITE_CONSTANTS 14
#include "lib/second_site.glsl"
#include "lib/site_row.glsl"

void productSite(uint number) {
    if ((task.parts & kPartLeave) != 0) leavePart(0, number * task.share, min((number + 1) * task.share, WIDTH));
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
    if ((task.parts & kPartCodes) != 0) writeCodes(0);
}

void linear(uint number) {
    const uint groups = (push.panelRows + TILE_N * LANES - 1) / (TILE_N * LANES);
    tileGroup = number * task.share;
    const uint end = min(tileGroup + task.share, groups);
    ALWAYS do {
        multiplyTile(0);
        ++tileGroup;
    } while (tileGroup < end);
}

void run(uint number) {
    if (task.kind == kStepLinear) {
        linear(number);
    } else if (task.kind == kStepAttention) {
        attendHead(number, program.position);
    } else if (task.kind == kStepHidden) {
        hiddenSite(number);
    } else {
        productSite(number);
    }
}

uint take(uint stepIndex) {
    uint number = 0;
    if (lane == 0) number = atomicAdd(counters[2 * stepIndex], 1);
    return subgroupBroadcastFirst(number);
}

void tellDone(uint stepIndex) {
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
    memoryBarrierBuffer();
    if (lane == 0) atomicAdd(counters[2 * stepIndex + 1], 1);
}

void waitForAll(uint stepIndex) {
    uint done = 0;
    do {
        if (lane == 0) done = atomicAdd(counters[2 * stepIndex + 1], 0);
        done = subgroupBroadcastFirst(done);
    } while (done < task.tasks);
    memoryBarrierBuffer();
}

void main() {
    lane = gl_SubgroupInvocationID;
    uint stepIndex = program.firstStep;
    ALWAYS do {
        task = Steps(uvec2(program.stepsLow, program.stepsHigh)).at[stepIndex];
        uint number = program.single != 0 ? gl_WorkGroupID.x : take(stepIndex);
        if (number < task.tasks) {
            do {
                run(number);
                if (program.single != 0) {
                    number = task.tasks;
                } else {
                    tellDone(stepIndex);
                    number = take(stepIndex);
                }
            } while (number < task.tasks);
        }
        if (program.single == 0) waitForAll(stepIndex);
        ++stepIndex;
    } while (stepIndex < program.endStep);
}
