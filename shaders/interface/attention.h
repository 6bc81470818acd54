// The push constants of attention.comp, attention_row.comp and attention_merge.comp, for C++ and GLSL.
#ifndef VULCAT_INTERFACE_ATTENTION_H
#define VULCAT_INTERFACE_ATTENTION_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct AttentionPush {
    uint rows;      ///< M
    uint position;  ///< of row 0
    uint kvHeads;   ///< Hk
    uint ratio;     ///< H / Hk: queries that share a key
    float scale;    ///< 1 / sqrt(D)
    uint partKeys;  ///< keys of a part of the context; the whole context where it is not split
};

struct AttentionMergePush {
    uint parts;
};

VULCAT_INTERFACE_END

#endif
