// The table and push constants of row_program.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_ROW_PROGRAM_H
#define VULCAT_INTERFACE_ROW_PROGRAM_H

#include "integer_linear.h"
#include "row_kernels.h"

VULCAT_INTERFACE_BEGIN

// ProgramStep::kind
VULCAT_CONSTANT uint kStepLinear = 0;     ///< y (+)= W x + b; a task is `share` workgroups of integer_linear_address.comp
VULCAT_CONSTANT uint kStepAttention = 1;  ///< rope, cache, attention; a task is a key head
VULCAT_CONSTANT uint kStepHidden = 2;     ///< the input of a site of the hidden size
VULCAT_CONSTANT uint kStepProduct = 3;    ///< of the product's size, behind SwiGLU

// ProgramStep::parts: what of a site's input a step does.
VULCAT_CONSTANT uint kPartLeave = 1;  ///< source and blocks; a task is `share` columns
VULCAT_CONSTANT uint kPartCodes = 2;  ///< mix and codes, one task
VULCAT_CONSTANT uint kPartNorm = 4;   ///< the source is a norm; else rows as they are

struct ProgramStep {
    uint kind;
    uint tasks;
    uint share;
    uint parts;
    IntegerLinearPush linear;
    SiteRowPush site;
    uint yLow, yHigh;          ///< device address of what a linear or attention writes
    uint qkvLow, qkvHigh;      ///< attention: [H + 2 Hk][D]
    uint keysLow, keysHigh;    ///< [context][Hk][D]
    uint valuesLow, valuesHigh;
    uint anglesLow, anglesHigh;  ///< [positions][D / 2] {cos, sin}
    uint kvHeads;
    uint ratio;   ///< H / Hk
    float scale;  ///< 1 / sqrt(D)
};

struct RowProgramPush {
    uint stepsLow, stepsHigh;  ///< device address of the table
    uint firstStep, endStep;
    uint position;  ///< of the row in the context
    uint single;    ///< 1: one step, a workgroup a task, no counting
};

VULCAT_INTERFACE_END

#endif
