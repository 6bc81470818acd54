// The push constants of the kernels that work row by row (embedding, rms_norm, rope_store, swiglu, mix_hadamard,
// mix_dense, block_transform, site_codes, site_tiles, site_teams), for C++ and GLSL.
//
// groupsX, groupsY: workgroups of the whole dispatch, by which a kernel strides over its grid. Not gl_NumWorkGroups: a
// dispatch that is run in parts (vkCmdDispatchBase) would see those of the part.
#ifndef VULCAT_INTERFACE_ROW_KERNELS_H
#define VULCAT_INTERFACE_ROW_KERNELS_H

#include "types.h"

VULCAT_INTERFACE_BEGIN

struct EmbeddingPush {
    uint rows;      ///< M
    uint width;     ///< K
    uint units;     ///< 128-bit words of a table row
    uint rowBegin;  ///< first table row of the panel
    uint rowCount;  ///< table rows of the panel
    uint groupsX;
};

struct RmsNormPush {
    uint rows;
    uint width;
    float epsilon;
    uint groupsX;
};

struct RopeStorePush {
    uint rows;
    uint heads;
    uint kvHeads;
    uint position;  ///< of row 0
    uint groupsX, groupsY;
};

struct SwiGluPush {
    uint rows;
    uint width;  ///< F
    uint groupsX, groupsY;
};

struct MixHadamardPush {
    uint rows;
    uint width;
    uint stride;
    float scale;
    uint groupsX, groupsY;
};

struct MixDensePush {
    uint rows;
    uint width;
    uint order;
    uint stride;
    uint groupsY;
};

struct BlockTransformPush {
    uint rows;
    uint firstRow;  ///< at which this dispatch begins
    uint width;
    uint block;
    // ADDRESS only: device addresses of x and of the blocks
    uint inputsLow, inputsHigh;
    uint blocksLow, blocksHigh;
};

struct SiteCodesPush {
    uint firstRow;   ///< at which this dispatch begins
    float epsilon;   ///< of the norm
    float mixScale;  ///< 1 / sqrt(order) of the Hadamard mix
};

struct SiteRowPush {
    float epsilon;                 ///< of the norm
    float mixScale;                ///< 1 / sqrt(order) of the Hadamard mix
    uint blocksLow, blocksHigh;    ///< device addresses
    uint inputsLow, inputsHigh;    ///< of x
    uint floatsLow, floatsHigh;
    uint scratchLow, scratchHigh;
};

struct SiteTilesPush {
    SiteRowPush site;
    uint firstRow;  ///< at which this dispatch begins
};

struct SiteTeamsPush {
    float epsilon;   ///< of the norm
    float mixScale;  ///< 1 / sqrt(order) of the Hadamard mix
};
VULCAT_CONSTANT uint kSiteCounters = 256;  ///< words in front of what the teams of site_teams.comp hand on

// Values of the specialisation constant SOURCE.
VULCAT_CONSTANT uint kSourceRows = 0;    ///< x [M, K] as it is
VULCAT_CONSTANT uint kSourceNorm = 1;    ///< RMSNorm of x [M, K]
VULCAT_CONSTANT uint kSourceSwiGlu = 2;  ///< silu(gate) * up of x [M, 2K]

VULCAT_INTERFACE_END

#endif
