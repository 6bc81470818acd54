// The constants of peak.comp and copy.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_PEAK_H
#define VULCAT_INTERFACE_PEAK_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct PeakPush {
    uint rounds;
    uint seed;  ///< unknown to the compiler, above 1
};

/// Multiply-adds of an invocation in a round.
VULCAT_CONSTANT uint kPeakMultiplyAdds = 192;
/// Words of 128 bits that an invocation copies.
VULCAT_CONSTANT uint kCopyWords = 4;

VULCAT_INTERFACE_END

#endif
