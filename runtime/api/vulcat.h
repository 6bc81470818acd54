#ifndef VULCAT_H
#define VULCAT_H
/* vulcat: 4-bit LLM layers on any Vulkan device. The C interface; this header is its manual, with its two parts
 * vulcat_device.h and vulcat_layer.h.
 *
 * Three levels, each usable without the ones above it:
 *   layer     vulcatCreateLinear     one quantised linear layer, from memory or from a model folder (vulcat_layer.h)
 *             vulcatCmdLinear        recorded into the host's own command buffer
 *   session   vulcatLoadModel        a Hugging Face folder, float or baked by `vulcat calibrate`, with its tokenizer
 *             vulcatCreateSession    one conversation: a key-value cache and what a forward pass needs
 *             vulcatSessionAppend    all at once; or vulcatSessionQueue and vulcatSessionStep: some time in each frame
 *             vulcatSessionSample    the next token
 *   text      vulcatTokenize, vulcatTextStreamPush, or vulcatGenerate: text in, text out through a callback
 *
 * Inside an engine
 *   vulcatQueryDevice says what to enable, the host creates its device and hands it over in VulcatHostDevice
 *   (vulcat_device.h); then
 *   vulcatPlanModel tells what a model will take, and vulcatSessionStep keeps to a budget in every frame. When the
 *   driver gives up, calls return VULCAT_ERROR_DEVICE_LOST and vulcatRecreate brings everything back.
 *
 * Rules that hold everywhere
 *   Results    Every function that can fail returns VulcatResult. The sentence that belongs to the latest failure is
 *              vulcatContextErrorText(context). Nothing is thrown, nothing aborts, nothing is written to stdout or
 *              stderr, no environment variable is read.
 *   Structs    Set structSize to sizeof the struct and zero what you do not use: zero means the default everywhere.
 *              Fields are only ever added at the end, so programs built with an older header keep working.
 *   Handles    Opaque, and freed by their vulcatDestroy..., which accepts NULL. Destroy children before parents:
 *              text streams and sessions, then models and linears, then the context.
 *   Threads    A context and everything made from it may be used by one thread at a time. Two contexts are independent,
 *              also on one device: there is no global state.
 *   Vulkan     This header needs no Vulkan header. Handles of Vulkan's objects are passed as void* (VkInstance,
 *              VkPhysicalDevice, VkDevice, VkQueue, VkCommandBuffer) and as uint64_t (VkBuffer: (uint64_t)buffer),
 *              functions as VulcatFunction. Always the native objects, not those of a wrapping library.
 *   Text       UTF-8, given with its length in bytes; terminating zeros are not needed.
 *   Outputs    Out parameters are written only on success unless it says otherwise.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(VULCAT_SHARED)
#ifdef VULCAT_BUILDING
#define VULCAT_API __declspec(dllexport)
#else
#define VULCAT_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define VULCAT_API __attribute__((visibility("default")))
#else
#define VULCAT_API
#endif

#define VULCAT_VERSION_MAJOR 0
#define VULCAT_VERSION_MINOR 2
#define VULCAT_VERSION_PATCH 0

typedef enum VulcatResult {
    VULCAT_SUCCESS = 0,
    VULCAT_ERROR_FAILURE = -1,          /* anything not named below */
    VULCAT_ERROR_INVALID_ARGUMENT = -2, /* the caller's mistake; the error text names the field */
    VULCAT_ERROR_INVALID_FILE = -3,     /* a file is missing, damaged, or disagrees with another */
    VULCAT_ERROR_NO_DEVICE = -4,        /* no Vulkan driver, or no device that can run this */
    VULCAT_ERROR_OUT_OF_MEMORY = -5,    /* host or device memory, or VulcatContextInfo.memoryBudgetBytes */
    VULCAT_ERROR_DEVICE_LOST = -6,      /* the driver gave up: see vulcatRecreate */
    VULCAT_ERROR_WRONG_RESULT = -7,     /* a computation gave what cannot be right */
    VULCAT_ERROR_CANCELLED = -8,        /* a callback asked to stop */
    VULCAT_ERROR_UNSUPPORTED = -9,      /* valid, but not something vulcat does */
    VULCAT_RESULT_MAX_ENUM = 0x7FFFFFFF
} VulcatResult;

typedef enum VulcatLogLevel {
    VULCAT_LOG_DEBUG = 0,
    VULCAT_LOG_INFO = 1,
    VULCAT_LOG_WARNING = 2,
    VULCAT_LOG_ERROR = 3,
    VULCAT_LOG_LEVEL_MAX_ENUM = 0x7FFFFFFF
} VulcatLogLevel;

/* Who goes first when the GPU is shared with a renderer; see vulcatSessionStep. */
typedef enum VulcatMode {
    VULCAT_MODE_BALANCE = 0,  /* a step works until its budget is spent and waits for its work */
    VULCAT_MODE_GRAPHICS = 1, /* a step submits one slice and returns; there is never more than one in flight */
    VULCAT_MODE_COMPUTE = 2,  /* the budget says when a step returns, not how long a submission may be */
    VULCAT_MODE_MAX_ENUM = 0x7FFFFFFF
} VulcatMode;

typedef struct VulcatContext_T* VulcatContext;
typedef struct VulcatLinear_T* VulcatLinear;
typedef struct VulcatModel_T* VulcatModel;
typedef struct VulcatSession_T* VulcatSession;
typedef struct VulcatTextStream_T* VulcatTextStream;

/* Any function; cast it from and to its own type. */
typedef void (*VulcatFunction)(void);

/* One line of log; `message` is zero-terminated and lives until the callback returns. */
typedef void (*VulcatLogFunction)(void* userData, VulcatLogLevel level, const char* message);

/* Progress of long work: `done` of `total` units (bytes when loading). Return 0 to go on, anything else to cancel. */
typedef int (*VulcatProgressFunction)(void* userData, uint64_t done, uint64_t total, const char* what);

/* A piece of generated text: `bytes` bytes of whole UTF-8 characters. Return 0 to go on, anything else to stop. */
typedef int (*VulcatTextFunction)(void* userData, const char* text, size_t bytes);

/* VULCAT_VERSION_... of the library, as major << 22 | minor << 12 | patch. Never fails. */
VULCAT_API uint32_t vulcatVersion(void);

/* A constant word for a result, "out of memory" for instance. Never NULL, also for unknown values. */
VULCAT_API const char* vulcatResultText(VulcatResult result);

/* ---- The host's device: vulcatQueryDevice, VulcatHostDevice */
#include "vulcat_device.h"

/* ---- Context ----------------------------------------------------------------------------------------------------- */

/* The host's allocation of device memory, for engines that count or pool it. */
typedef struct VulcatMemoryFunctions {
    size_t structSize;
    /* Allocates as vkAllocateMemory(device, allocateInfo, ...) would. allocateInfo is a VkMemoryAllocateInfo, *memory
     * receives the VkDeviceMemory. Returns a VkResult. The memory is vulcat's alone from its first byte. */
    int32_t (*allocate)(void* userData, const void* allocateInfo, uint64_t* memory);
    void (*free)(void* userData, uint64_t memory);
    void* userData;
} VulcatMemoryFunctions;

typedef struct VulcatContextInfo {
    size_t structSize;
    const char* device;    /* "auto" or NULL: the best; or an index, a UUID, or a part of the name (zero-terminated) */
    int enableValidation;  /* not 0: turn on the Khronos validation layer, an error where it is not installed */
    VulcatLogFunction log; /* may be NULL; may be called from any function that is given this context */
    void* userData;        /* handed to `log` */
    char* errorText;       /* may be NULL; receives the zero-terminated reason when no context could be made */
    size_t errorTextSize;  /* bytes at errorText */

    const VulcatHostDevice* host;        /* not NULL: work on the host's device; `device` is not looked at */
    VulcatMode mode;                     /* first mode; for an own device also the priority of its queue: low but for
                                            VULCAT_MODE_COMPUTE */
    uint64_t memoryBudgetBytes;          /* device memory that vulcat may take; 0: what the device has */
    uint32_t hangLimitMs;                /* a submission that runs longer counts as a lost device; 0: five minutes,
                                            since software drivers compile inside submissions */
    const VulcatMemoryFunctions* memory; /* NULL: vkAllocateMemory. Copied */
    const void* hostAllocator;           /* const VkAllocationCallbacks* for every object; NULL: none. Must outlive
                                            the context */
    const void* pipelineCache;           /* NULL, or what vulcatContextBlob gave in an earlier run; anything that does
                                            not fit device, driver and library is passed over */
    size_t pipelineCacheBytes;
    const void* tuning; /* likewise */
    size_t tuningBytes;
    VulcatFunction getInstanceProcAddr; /* for an own device: the Vulkan loader or driver to use; NULL: the system's
                                           libvulkan, opened at run time */
    const void* tiles;                  /* NULL, or what vulcatContextBlob gave for VULCAT_BLOB_TILES */
    size_t tilesBytes;
} VulcatContextInfo;

/* Chooses a device and creates everything on it, or works on the host's. */
VULCAT_API VulcatResult vulcatCreateContext(const VulcatContextInfo* info, VulcatContext* context);
VULCAT_API void vulcatDestroyContext(VulcatContext context);

/* The reason of the latest failure of a function that was given this context or a child of it; "" before the first.
 * Lives until the next failure. */
VULCAT_API const char* vulcatContextErrorText(VulcatContext context);

typedef struct VulcatDeviceInfo {
    size_t structSize;
    char name[256];         /* as the driver says it */
    char driver[256];       /* driver name and version */
    char uuid[37];          /* zero-terminated, lower case, with dashes */
    uint64_t memoryBytes;   /* of the largest heap that is device-local, or any of an integrated GPU */
    uint64_t usedBytes;     /* device memory that this context holds now */
    uint32_t pipelineCount; /* compute pipelines made so far: it does not grow while recording, appending or stepping */
} VulcatDeviceInfo;

/* Describes the context's device. Set deviceInfo->structSize before the call. */
VULCAT_API VulcatResult vulcatContextDevice(VulcatContext context, VulcatDeviceInfo* deviceInfo);

/* Changes the mode, at any time, for instance by the phase of a game. */
VULCAT_API VulcatResult vulcatSetMode(VulcatContext context, VulcatMode mode);

typedef enum VulcatBlob {
    VULCAT_BLOB_PIPELINE_CACHE = 0, /* compiled pipelines: saves the next start their compilation */
    VULCAT_BLOB_TUNING = 1,         /* measured times of dispatches: saves vulcatSessionStep its learning */
    VULCAT_BLOB_TILES = 2,          /* the fastest kernels of a model's layers, from vulcatTuneModel */
    VULCAT_BLOB_MAX_ENUM = 0x7FFFFFFF
} VulcatBlob;

/* Bytes for the host to keep and to give to vulcatCreateContext in a later run; ask for them when all is loaded, or at
 * the end. On entry *bytes is the room at `data`, on return the size. data NULL: only the size. */
VULCAT_API VulcatResult vulcatContextBlob(VulcatContext context, VulcatBlob kind, void* data, size_t* bytes);

/* After VULCAT_ERROR_DEVICE_LOST, or whenever the host wants to move to another device: makes the device, all linears,
 * models and sessions anew behind the same handles. Linears come from the memory or the folder they were made from,
 * models from their folder, key-value caches by running the sessions' tokens again in the same passes, so that the
 * same tokens follow. Queued tokens are forgotten, text streams go on.
 * host: NULL for a context with its own device, else the host's new device. When it fails, the children stay
 * without a device, their functions return VULCAT_ERROR_DEVICE_LOST, and it may be called again. */
VULCAT_API VulcatResult vulcatRecreate(VulcatContext context, const VulcatHostDevice* host);

/* ---- Layer: vulcatCreateLinear, vulcatCmdLinear */
#include "vulcat_layer.h"

/* ---- Model ------------------------------------------------------------------------------------------------------- */

typedef struct VulcatModelInfo {
    size_t structSize;
    const char* folder;              /* zero-terminated path of the model folder */
    VulcatProgressFunction progress; /* may be NULL */
    void* userData;                  /* handed to `progress` */
} VulcatModelInfo;

typedef struct VulcatSessionInfo {
    size_t structSize;
    uint32_t contextLength; /* positions to hold; 0: what the model was trained for, but at most 4096 and what a quarter
                               of the device's memory holds */
    uint32_t chunkRows;     /* most tokens in one forward pass; 0: 512, on an integrated GPU 128. Less needs less memory */
} VulcatSessionInfo;

typedef struct VulcatModelPlan {
    size_t structSize;
    uint32_t contextLength; /* what VulcatSessionInfo leads to on this device */
    uint32_t chunkRows;
    /* Bytes of device memory, as they will be allocated */
    uint64_t weightsBytes;     /* quantised and float linears, transforms, norms */
    uint64_t vocabularyBytes;  /* embedding and output head */
    uint64_t cacheBytes;       /* keys and values of one session */
    uint64_t activationsBytes; /* working memory of one session */
    uint64_t totalBytes;       /* of a model with one session */
    uint64_t hostVisibleBytes; /* besides: staging and read-back memory that the host sees */
    uint64_t availableBytes;   /* what the budget and the device leave now; 0 < totalBytes means refusal */
    int fits;                  /* not 0: totalBytes <= availableBytes */
} VulcatModelPlan;

/* What a model with one session will take, from the files' headers alone: nothing is allocated on the device and no
 * weights are read. sessionInfo may be NULL. A model that does not fit is no failure here: `fits` says so.
 * vulcatLoadModel and vulcatCreateSession refuse what does not fit with the same numbers. Memory reports of drivers are
 * hints: a budget above its heap is cut down to the heap. */
VULCAT_API VulcatResult vulcatPlanModel(VulcatContext context, const VulcatModelInfo* modelInfo,
                                        const VulcatSessionInfo* sessionInfo, VulcatModelPlan* plan);

/* Reads config.json, the tensors and the tokenizer, and uploads the weights. */
VULCAT_API VulcatResult vulcatLoadModel(VulcatContext context, const VulcatModelInfo* info, VulcatModel* model);
VULCAT_API void vulcatDestroyModel(VulcatModel model);

/* Measures the kernels that may be the fastest of the model's linear layers and its head on this device, each checked before it
 * is timed, and keeps the fastest: layers and models that are made in the context from now on use them, and those that
 * are given the context's VULCAT_BLOB_TILES. Results of layers with integer activations stay the same, bit for bit; those
 * with float activations, the head's among them, may be added in another order: they stay the same within rounding.
 * Takes seconds and device memory for a copy of the largest layer, on a GPU of as many as 256 MiB. progress may be NULL;
 * ended by it (VULCAT_ERROR_CANCELLED), nothing is kept. */
VULCAT_API VulcatResult vulcatTuneModel(VulcatModel model, VulcatProgressFunction progress, void* userData);

typedef struct VulcatModelProperties {
    size_t structSize;
    uint32_t vocabularySize; /* logits in a row */
    uint32_t maxPositions;   /* the longest context the model was trained for */
    uint32_t layers;
    uint32_t hiddenSize;
    int32_t bosToken;      /* the token that opens a text, -1: none */
    uint64_t weightsBytes; /* on the device */
} VulcatModelProperties;

/* Set properties->structSize before the call. */
VULCAT_API VulcatResult vulcatModelProperties(VulcatModel model, VulcatModelProperties* properties);

/* Not 0: this token ends a text. */
VULCAT_API int vulcatModelEndsText(VulcatModel model, int32_t token);

/* Text to tokens. addBos not 0: put the model's opening token first if it has one.
 * On entry *count is the room at `tokens`; on return the number of tokens. tokens NULL: only count them. When the room
 * is too small, *count is set to what is needed and VULCAT_ERROR_INVALID_ARGUMENT returned. */
VULCAT_API VulcatResult vulcatTokenize(VulcatModel model, const char* text, size_t textBytes, int addBos,
                                       int32_t* tokens, size_t* count);

/* Tokens to text, invalid UTF-8 replaced by U+FFFD. *bytes works as *count of vulcatTokenize; no terminating zero. */
VULCAT_API VulcatResult vulcatDetokenize(VulcatModel model, const int32_t* tokens, size_t count, char* text,
                                         size_t* bytes);

/* ---- Text stream: tokens to text as they come, never a broken UTF-8 character -------------------------------- */

VULCAT_API VulcatResult vulcatCreateTextStream(VulcatModel model, VulcatTextStream* stream);
VULCAT_API void vulcatDestroyTextStream(VulcatTextStream stream);

/* Takes one token and gives the text that is complete now, possibly none. *text is zero-terminated, *bytes is its
 * length; it lives until the next call on this stream. */
VULCAT_API VulcatResult vulcatTextStreamPush(VulcatTextStream stream, int32_t token, const char** text, size_t* bytes);

/* Ends the text: gives what was still incomplete, as U+FFFD. The stream is new afterwards. */
VULCAT_API VulcatResult vulcatTextStreamFlush(VulcatTextStream stream, const char** text, size_t* bytes);

/* ---- Session ----------------------------------------------------------------------------------------------------- */

/* info may be NULL: the defaults. All memory is allocated and all pipelines are made here, none later. */
VULCAT_API VulcatResult vulcatCreateSession(VulcatModel model, const VulcatSessionInfo* info, VulcatSession* session);
VULCAT_API void vulcatDestroySession(VulcatSession session);

/* Tokens held, and room for tokens. Never fail for a valid session; 0 for NULL. */
VULCAT_API uint32_t vulcatSessionPosition(VulcatSession session);
VULCAT_API uint32_t vulcatSessionContextLength(VulcatSession session);

/* Appends count >= 1 tokens in batched forward passes and keeps the logits after the last of them. Nothing is appended
 * when they do not fit the context (VULCAT_ERROR_INVALID_ARGUMENT). */
VULCAT_API VulcatResult vulcatSessionAppend(VulcatSession session, const int32_t* tokens, size_t count);

/* Copies the logits after the last appended token, vocabularySize floats. count is the room and must suffice. */
VULCAT_API VulcatResult vulcatSessionLogits(VulcatSession session, float* logits, size_t count);

/* Queues count >= 1 tokens for vulcatSessionStep; nothing runs here. Tokens may be queued while others are still
 * worked on. VULCAT_ERROR_INVALID_ARGUMENT, and nothing is queued, when they do not fit the context. */
VULCAT_API VulcatResult vulcatSessionQueue(VulcatSession session, const int32_t* tokens, size_t count);

typedef struct VulcatStep {
    size_t structSize;
    int done;            /* not 0: everything queued is appended, the logits after the last token are there */
    float progress;      /* 0..1, of what is queued, by estimated time */
    uint32_t slices;     /* submissions that ended in this call */
    uint32_t dispatches; /* in them; a dispatch cut into pieces counts each */
    uint32_t gpuUs;      /* time of these submissions, microseconds, measured on the device where it has timestamps,
                            else from submission to the end of waiting */
    uint32_t longestSliceUs;
    uint32_t overBudget; /* of them, slices that took longer than their budget */
} VulcatStep;

/* Works on the queued tokens for about budgetUs microseconds of GPU time and returns. budgetUs 0: to the end.
 * The forward pass is cut between dispatches by their measured cost, and dispatches longer than the budget are cut
 * themselves where the kernel allows. What was never measured runs in small pieces first, so the first passes are slow;
 * VULCAT_BLOB_TUNING keeps what was learned. Results are those of vulcatSessionAppend, bit for bit. step may be NULL.
 *   VULCAT_MODE_BALANCE   submissions one after the other within the budget; nothing is in flight on return
 *   VULCAT_MODE_GRAPHICS  submits one slice of at most the budget and returns without waiting for it; when the last
 *                         one still runs, nothing is submitted. One call a frame
 *   VULCAT_MODE_COMPUTE   no dispatch is cut, a submission may be as long as the budget, and the step returns after the
 *                         submission that used it up */
VULCAT_API VulcatResult vulcatSessionStep(VulcatSession session, uint32_t budgetUs, VulcatStep* step);

/* The session's tokens, key-value cache and logits as bytes, for a save game or to branch a conversation. On entry
 * *bytes is the room at `data`, on return the size; data NULL: only the size. */
VULCAT_API VulcatResult vulcatSessionSave(VulcatSession session, void* data, size_t* bytes);
/* Takes a saved state of a session of the same model. Nothing changes unless all is right with the bytes
 * (VULCAT_ERROR_INVALID_FILE) and they fit the context length. */
VULCAT_API VulcatResult vulcatSessionRestore(VulcatSession session, const void* data, size_t bytes);

typedef struct VulcatSampling {
    size_t structSize;
    float temperature; /* 0: greedy */
    uint32_t topK;     /* 0: all tokens */
    float topP;        /* 0: 1, all tokens */
    uint64_t seed;
} VulcatSampling;

/* How vulcatSessionSample chooses from now on; restarts the random numbers at the seed. NULL: greedy, as at first. */
VULCAT_API VulcatResult vulcatSessionSetSampling(VulcatSession session, const VulcatSampling* sampling);

/* Chooses a token from the logits after the last appended token. It is not appended. The same logits, options and
 * number of calls since vulcatSessionSetSampling give the same token on every platform. */
VULCAT_API VulcatResult vulcatSessionSample(VulcatSession session, int32_t* token);

/* Forgets all tokens, or all but the first `position`. After it, append before asking for logits. */
VULCAT_API VulcatResult vulcatSessionReset(VulcatSession session);
VULCAT_API VulcatResult vulcatSessionTruncate(VulcatSession session, uint32_t position);

typedef struct VulcatGenerateInfo {
    size_t structSize;
    const char* prompt; /* may be NULL: nothing but the opening token, or a continuation of what the session holds */
    size_t promptBytes;
    uint32_t maxTokens;      /* tokens to generate at most; 0: until the text ends or the context is full */
    VulcatTextFunction text; /* may be NULL */
    void* userData;          /* handed to `text` */
} VulcatGenerateInfo;

/* Appends the prompt (after the model's opening token when the session is empty), then samples and appends until the
 * text ends, maxTokens are generated, the context is full, or `text` asks to stop, which is no failure.
 * `text` receives the generated text, not the prompt. generatedTokens may be NULL. */
VULCAT_API VulcatResult vulcatGenerate(VulcatSession session, const VulcatGenerateInfo* info,
                                       uint32_t* generatedTokens);

#ifdef __cplusplus
}
#endif
#endif
