// The push constants of float_linear.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_FLOAT_LINEAR_H
#define VULCAT_INTERFACE_FLOAT_LINEAR_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct FloatLinearPush {
    uint rows;         ///< M
    uint firstRow;     ///< row of x and y at which this dispatch begins
    uint inputs;       ///< K
    uint outputs;      ///< row stride of y
    uint firstOutput;  ///< column of y at which this panel begins
    uint panelRows;    ///< columns of y this panel computes
    uint blocks;       ///< Kp / 32
    uint groupBlocks;  ///< blocks of a scale group; blocks for one scale a row
    uint groups;       ///< 0 for float weights
    uint accumulate;   ///< 1: adds to what y holds
    // ADDRESS only: device addresses of x and of the panel's weights and parameters
    uint inputsLow, inputsHigh;
    uint weightsLow, weightsHigh;
    uint parametersLow, parametersHigh;
};

VULCAT_INTERFACE_END

#endif
