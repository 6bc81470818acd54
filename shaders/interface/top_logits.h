// The push constants of top_logits.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_TOP_LOGITS_H
#define VULCAT_INTERFACE_TOP_LOGITS_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct TopLogitsPush {
    uint count;   ///< logits
    uint chunk;   ///< logits of a chunk
    uint chunks;  ///< ceil(count / chunk), at most kMostChunks
    uint wanted;  ///< of the largest, at most count
};

VULCAT_CONSTANT uint kMostChunks = 1024;

VULCAT_INTERFACE_END

#endif
