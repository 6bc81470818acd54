#ifndef VULCAT_LAYER_H
#define VULCAT_LAYER_H
/* The layer level: one quantised linear; a part of vulcat.h, which includes it.
 * y = W x' + b, x' = T x quantised: W [outputs, inputs] in 4 or 8 bits, T the layer's transform.
 */
#ifndef VULCAT_H
#error "include vulcat.h"
#endif

typedef struct VulcatLinearInfo {
    size_t structSize;

    /* Either a site of a model folder, with its transform and all linears that share its input stacked:
     * "model.layers.0.self_attn.qkv", ".self_attn.o", ".mlp.gate_up", ".mlp.down" of any layer, or "lm_head", the output
     * layer, where its weights are its own. */
    const char* folder; /* zero-terminated, or NULL */
    const char* site;   /* zero-terminated */

    /* Or from memory (folder NULL). Weights as floats, which are rounded here with the scale of the least squared
     * error, or as codes with their scales. */
    uint32_t inputs;
    uint32_t outputs;
    uint32_t weightBits;     /* 4 or 8 */
    uint32_t groupSize;      /* inputs that share a scale: 32, 64, 128, or 0 for the whole row */
    const float* weights;    /* [outputs, inputs] or NULL */
    const int8_t* codes;     /* [outputs, inputs], -8..7 for 4 bits, -127..127 for 8; read when weights is NULL */
    const float* scales;     /* [outputs, groups], groups = ceil(inputs / groupSize); with codes */
    const float* bias;       /* [outputs] or NULL */
    uint32_t activationBits; /* 4, 8, or 16: not quantised; 0: 8 */
    int activationSymmetric; /* for 4 bits: not 0 for -8..7, 0 for 0..15 with a zero point */

    uint32_t maxRows;    /* rows of x in a call at most, 1..512; 0: 512 */
    uint32_t recordings; /* recordings that may be in use at the same time, frames in flight for instance; 0: 3 */
} VulcatLinearInfo;

/* Uploads the weights and makes the pipelines. Nothing given here is read after the call but the folder, by
 * vulcatRecreate; for that the context keeps a copy of weights from memory, in their few bits. */
VULCAT_API VulcatResult vulcatCreateLinear(VulcatContext context, const VulcatLinearInfo* info, VulcatLinear* linear);
/* Precondition: no submission uses it any more. */
VULCAT_API void vulcatDestroyLinear(VulcatLinear linear);

typedef struct VulcatLinearProperties {
    size_t structSize;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t maxRows;
    uint32_t offsetAlignment; /* offsets of VulcatLinearRun are multiples of it, in bytes */
    uint32_t bufferUsage;     /* VkBufferUsageFlags that the host's buffers need */
    uint64_t weightsBytes;    /* on the device */
    uint64_t scratchBytes;    /* on the device, for codes and transformed inputs */
} VulcatLinearProperties;

VULCAT_API VulcatResult vulcatLinearProperties(VulcatLinear linear, VulcatLinearProperties* properties);

typedef struct VulcatLinearRun {
    size_t structSize;
    void* commandBuffer;   /* VkCommandBuffer in recording state, outside of a render pass */
    uint64_t input;        /* VkBuffer, float32 [rows, inputs] at inputOffset */
    uint64_t inputOffset;  /* bytes */
    uint64_t output;       /* VkBuffer, float32 [rows, outputs] at outputOffset; must not overlap the input */
    uint64_t outputOffset; /* bytes */
    uint32_t rows;         /* 1..maxRows */
    int accumulate;        /* not 0: add to the output, a residual connection */
} VulcatLinearRun;

/* Records the layer and nothing else: no submission, no waiting, no allocation of memory, no pipeline.
 * Barriers: the first command is a memory barrier from all commands and writes before it to compute and transfer, the
 * last one from compute and transfer writes to all commands and accesses after it; so the input may be written and the
 * output read by anything in the same queue without further barriers. Between queues the host synchronises.
 * State: it binds a compute pipeline, its descriptor set 0 and push constants, which the host binds again after it.
 * A command buffer recorded here may be submitted until the layer was recorded `recordings` more times, or is
 * destroyed. Scratch memory is shared: submissions with the same layer run on one queue. */
VULCAT_API VulcatResult vulcatCmdLinear(VulcatLinear linear, const VulcatLinearRun* run);

#endif
