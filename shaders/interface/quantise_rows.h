// The push constants of quantise_rows.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_QUANTISE_ROWS_H
#define VULCAT_INTERFACE_QUANTISE_ROWS_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct QuantiseRowsPush {
    uint firstRow;  ///< row at which this dispatch begins
    uint inputs;    ///< K
};

// Values of the specialisation constant FORMAT.
VULCAT_CONSTANT uint kFormatA8 = 0;
VULCAT_CONSTANT uint kFormatA4Symmetric = 1;
VULCAT_CONSTANT uint kFormatA4Asymmetric = 2;

VULCAT_INTERFACE_END

#endif
