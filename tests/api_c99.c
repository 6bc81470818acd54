/* A program in C99 that knows vulcat.h and nothing else: everything by hand, token by token. */
#include "vulcat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int countProgress(void* userData, uint64_t done, uint64_t total, const char* what) {
    int* calls = (int*)userData;
    if (done > total || what == NULL) return 1;
    ++*calls;
    return 0;
}

static void append(char* story, size_t room, const char* text, size_t bytes) {
    const size_t used = strlen(story);
    if (used + bytes < room) {
        memcpy(story + used, text, bytes);
        story[used + bytes] = '\0';
    }
}

/* Writes the story of a model that begins with `prompt` to `story`. Returns the number of the line that failed, or 0.
 */
#define REQUIRE(condition)   \
    do {                     \
        if (!(condition)) {  \
            line = __LINE__; \
            goto end;        \
        }                    \
    } while (0)

int vulcatTestC99(const char* folder, const char* prompt, int tokens, char* story, size_t room, char* error,
                  size_t errorRoom) {
    int line = 0;
    int progressCalls = 0;
    int i;
    int32_t* ids = NULL;
    size_t count = 0;
    const char* text = NULL;
    size_t bytes = 0;
    VulcatContext context = NULL;
    VulcatModel model = NULL;
    VulcatSession session = NULL;
    VulcatTextStream stream = NULL;
    VulcatContextInfo contextInfo = {0};
    VulcatModelInfo modelInfo = {0};
    VulcatSessionInfo sessionInfo = {0};

    story[0] = '\0';
    contextInfo.structSize = sizeof contextInfo;
    contextInfo.errorText = error;
    contextInfo.errorTextSize = errorRoom;
    REQUIRE(vulcatCreateContext(&contextInfo, &context) == VULCAT_SUCCESS);

    modelInfo.structSize = sizeof modelInfo;
    modelInfo.folder = folder;
    modelInfo.progress = countProgress;
    modelInfo.userData = &progressCalls;
    REQUIRE(vulcatLoadModel(context, &modelInfo, &model) == VULCAT_SUCCESS);
    REQUIRE(progressCalls > 2);

    REQUIRE(vulcatTokenize(model, prompt, strlen(prompt), 1, NULL, &count) == VULCAT_SUCCESS);
    REQUIRE(count > 1);
    ids = (int32_t*)malloc(count * sizeof *ids);
    REQUIRE(ids != NULL);
    count -= 1; /* too little room: the need is told */
    REQUIRE(vulcatTokenize(model, prompt, strlen(prompt), 1, ids, &count) == VULCAT_ERROR_INVALID_ARGUMENT);
    REQUIRE(vulcatTokenize(model, prompt, strlen(prompt), 1, ids, &count) == VULCAT_SUCCESS);

    sessionInfo.structSize = sizeof sessionInfo;
    sessionInfo.contextLength = (uint32_t)count + (uint32_t)tokens;
    REQUIRE(vulcatCreateSession(model, &sessionInfo, &session) == VULCAT_SUCCESS);
    REQUIRE(vulcatSessionContextLength(session) == sessionInfo.contextLength);
    REQUIRE(vulcatSessionAppend(session, ids, count) == VULCAT_SUCCESS);
    REQUIRE(vulcatSessionPosition(session) == count);

    REQUIRE(vulcatCreateTextStream(model, &stream) == VULCAT_SUCCESS);
    for (i = 0; i < (int)count; ++i) REQUIRE(vulcatTextStreamPush(stream, ids[i], &text, &bytes) == VULCAT_SUCCESS);
    for (i = 0; i < tokens; ++i) {
        int32_t token = 0;
        REQUIRE(vulcatSessionSample(session, &token) == VULCAT_SUCCESS);
        if (vulcatModelEndsText(model, token)) break;
        REQUIRE(vulcatTextStreamPush(stream, token, &text, &bytes) == VULCAT_SUCCESS);
        append(story, room, text, bytes);
        REQUIRE(vulcatSessionAppend(session, &token, 1) == VULCAT_SUCCESS);
    }
    REQUIRE(vulcatTextStreamFlush(stream, &text, &bytes) == VULCAT_SUCCESS);
    append(story, room, text, bytes);

end:
    if (line != 0 && context != NULL) snprintf(error, errorRoom, "%s", vulcatContextErrorText(context));
    free(ids);
    vulcatDestroyTextStream(stream);
    vulcatDestroySession(session);
    vulcatDestroyModel(model);
    vulcatDestroyContext(context);
    return line;
}
