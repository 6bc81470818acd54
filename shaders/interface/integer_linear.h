// The push constants of integer_linear*.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_INTEGER_LINEAR_H
#define VULCAT_INTERFACE_INTEGER_LINEAR_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct IntegerLinearPush {
    uint rows;         ///< M
    uint firstRow;     ///< row of x and y at which this dispatch begins
    uint outputs;      ///< row stride of y
    uint firstOutput;  ///< column of y at which this panel begins
    uint panelRows;    ///< columns of y this panel computes
    uint blocks;       ///< Kp / 32
    uint groupBlocks;  ///< blocks of a scale group; blocks for one scale a row
    uint groups;
    uint accumulate;   ///< 1: adds to what y holds
    uint alignedRows;  ///< 1: rows of y and the panel's part of them begin at multiples of 16 bytes
    // integer_linear_address.comp only
    uint activationsLow, activationsHigh;  ///< device address of x's rows
    uint codesLow, codesHigh;              ///< of the panel's codes
    uint parametersLow, parametersHigh;    ///< and parameters
};

VULCAT_INTERFACE_END

#endif
