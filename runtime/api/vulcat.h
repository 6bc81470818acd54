#ifndef VULCAT_H
#define VULCAT_H
/* vulcat: 4-bit LLM layers on any Vulkan device. The C interface; this header is its manual.
 *
 * The way through:
 *   vulcatCreateContext   one Vulkan device, its pipelines and memory
 *   vulcatLoadModel       a Hugging Face folder, float or baked by `vulcat calibrate`, with its tokenizer
 *   vulcatCreateSession   one conversation: a key-value cache and what a forward pass needs
 *   vulcatGenerate        text in, text out through a callback; or by hand: vulcatTokenize, vulcatSessionAppend,
 *                         vulcatSessionSample, vulcatTextStreamPush
 *
 * Rules that hold everywhere
 *   Results    Every function that can fail returns VulcatResult. The sentence that belongs to the latest failure is
 *              vulcatContextErrorText(context). Nothing is thrown, nothing aborts, nothing is written to stdout or
 *              stderr, no environment variable is read.
 *   Structs    Set structSize to sizeof the struct and zero what you do not use: zero means the default everywhere.
 *              Fields are only ever added at the end, so programs built with an older header keep working.
 *   Handles    Opaque, and freed by their vulcatDestroy..., which accepts NULL. Destroy children before parents:
 *              text streams and sessions, then models, then the context.
 *   Threads    A context and everything made from it may be used by one thread at a time. Two contexts are independent.
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
#define VULCAT_VERSION_MINOR 1
#define VULCAT_VERSION_PATCH 0

typedef enum VulcatResult {
    VULCAT_SUCCESS = 0,
    VULCAT_ERROR_FAILURE = -1,          /* anything not named below */
    VULCAT_ERROR_INVALID_ARGUMENT = -2, /* the caller's mistake; the error text names the field */
    VULCAT_ERROR_INVALID_FILE = -3,     /* a file is missing, damaged, or disagrees with another */
    VULCAT_ERROR_NO_DEVICE = -4,        /* no Vulkan driver, or no device that can run this */
    VULCAT_ERROR_OUT_OF_MEMORY = -5,    /* host or device memory */
    VULCAT_ERROR_DEVICE_LOST = -6,      /* the driver gave up: destroy the context and make a new one */
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

typedef struct VulcatContext_T* VulcatContext;
typedef struct VulcatModel_T* VulcatModel;
typedef struct VulcatSession_T* VulcatSession;
typedef struct VulcatTextStream_T* VulcatTextStream;

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

/* ---- Context ----------------------------------------------------------------------------------------------------- */

typedef struct VulcatContextInfo {
    size_t structSize;
    const char* device;    /* "auto" or NULL: the best; or an index, a UUID, or a part of the name (zero-terminated) */
    int enableValidation;  /* not 0: turn on the Khronos validation layer, an error where it is not installed */
    VulcatLogFunction log; /* may be NULL; may be called from any function that is given this context */
    void* userData;        /* handed to `log` */
    char* errorText;       /* may be NULL; receives the zero-terminated reason when no context could be made */
    size_t errorTextSize;  /* bytes at errorText */
} VulcatContextInfo;

/* Loads the system's Vulkan loader, chooses a device and creates everything on it. */
VULCAT_API VulcatResult vulcatCreateContext(const VulcatContextInfo* info, VulcatContext* context);
VULCAT_API void vulcatDestroyContext(VulcatContext context);

/* The reason of the latest failure of a function that was given this context or a child of it; "" before the first.
 * Lives until the next failure. */
VULCAT_API const char* vulcatContextErrorText(VulcatContext context);

typedef struct VulcatDeviceInfo {
    size_t structSize;
    char name[256];       /* as the driver says it */
    char driver[256];     /* driver name and version */
    char uuid[37];        /* zero-terminated, lower case, with dashes */
    uint64_t memoryBytes; /* of the largest device-local heap */
} VulcatDeviceInfo;

/* Describes the context's device. Set deviceInfo->structSize before the call. */
VULCAT_API VulcatResult vulcatContextDevice(VulcatContext context, VulcatDeviceInfo* deviceInfo);

/* ---- Model ------------------------------------------------------------------------------------------------------- */

typedef struct VulcatModelInfo {
    size_t structSize;
    const char* folder;              /* zero-terminated path of the model folder */
    VulcatProgressFunction progress; /* may be NULL */
    void* userData;                  /* handed to `progress` */
} VulcatModelInfo;

/* Reads config.json, the tensors and the tokenizer, and uploads the weights. */
VULCAT_API VulcatResult vulcatLoadModel(VulcatContext context, const VulcatModelInfo* info, VulcatModel* model);
VULCAT_API void vulcatDestroyModel(VulcatModel model);

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

/* ---- Text stream: tokens to text as they come, never a broken UTF-8 character -------------------------------------
 */

VULCAT_API VulcatResult vulcatCreateTextStream(VulcatModel model, VulcatTextStream* stream);
VULCAT_API void vulcatDestroyTextStream(VulcatTextStream stream);

/* Takes one token and gives the text that is complete now, possibly none. *text is zero-terminated, *bytes is its
 * length; it lives until the next call on this stream. */
VULCAT_API VulcatResult vulcatTextStreamPush(VulcatTextStream stream, int32_t token, const char** text, size_t* bytes);

/* Ends the text: gives what was still incomplete, as U+FFFD. The stream is new afterwards. */
VULCAT_API VulcatResult vulcatTextStreamFlush(VulcatTextStream stream, const char** text, size_t* bytes);

/* ---- Session ----------------------------------------------------------------------------------------------------- */

typedef struct VulcatSessionInfo {
    size_t structSize;
    uint32_t contextLength; /* positions to hold; 0: what the model was trained for, but at most 4096 and what a quarter
                               of the device's memory holds */
    uint32_t chunkRows;     /* most tokens in one forward pass; 0: 512. Less needs less memory */
} VulcatSessionInfo;

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
