/* A story from a model folder, in C, token by token:  c_minimal MODEL_DIR [PROMPT] [TOKENS] [DEVICE] */
#include "vulcat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROMPT 512

/* Prints what has become text; characters of several bytes may take several tokens. */
static VulcatResult print(VulcatTextStream stream, int32_t token) {
    const char* text = NULL;
    size_t bytes = 0;
    const VulcatResult result = vulcatTextStreamPush(stream, token, &text, &bytes);
    if (result == VULCAT_SUCCESS) fwrite(text, 1, bytes, stdout), fflush(stdout);
    return result;
}

static VulcatResult tell(VulcatModel model, VulcatSession session, VulcatTextStream stream, const char* prompt, int count) {
    int32_t tokens[MAX_PROMPT];
    size_t room = MAX_PROMPT, i;
    VulcatResult result = vulcatTokenize(model, prompt, strlen(prompt), 1, tokens, &room);
    if (result == VULCAT_SUCCESS) result = vulcatSessionAppend(session, tokens, room);
    for (i = 0; result == VULCAT_SUCCESS && i < room; ++i) result = print(stream, tokens[i]);
    while (result == VULCAT_SUCCESS && count-- > 0) {
        int32_t token = 0;
        result = vulcatSessionSample(session, &token);
        if (result != VULCAT_SUCCESS || vulcatModelEndsText(model, token)) break;
        result = print(stream, token);
        if (result == VULCAT_SUCCESS) result = vulcatSessionAppend(session, &token, 1);
    }
    return result;
}

int main(int argc, char** argv) {
    char why[512] = "";
    VulcatContext context = NULL;
    VulcatModel model = NULL;
    VulcatSession session = NULL;
    VulcatTextStream stream = NULL;
    VulcatContextInfo contextInfo = {0};
    VulcatModelInfo modelInfo = {0};
    VulcatResult result;
    if (argc < 2) return fprintf(stderr, "usage: c_minimal MODEL_DIR [PROMPT] [TOKENS] [DEVICE]\n"), 2;
    contextInfo.structSize = sizeof contextInfo;
    contextInfo.device = argc > 4 ? argv[4] : "auto";
    contextInfo.errorText = why;
    contextInfo.errorTextSize = sizeof why;
    modelInfo.structSize = sizeof modelInfo;
    modelInfo.folder = argv[1];
    result = vulcatCreateContext(&contextInfo, &context);
    if (result == VULCAT_SUCCESS) result = vulcatLoadModel(context, &modelInfo, &model);
    if (result == VULCAT_SUCCESS) result = vulcatCreateSession(model, NULL, &session);
    if (result == VULCAT_SUCCESS) result = vulcatCreateTextStream(model, &stream);
    if (result == VULCAT_SUCCESS)
        result = tell(model, session, stream, argc > 2 ? argv[2] : "Once upon a time", argc > 3 ? atoi(argv[3]) : 100);
    printf("\n");
    if (result != VULCAT_SUCCESS) fprintf(stderr, "error: %s\n", context ? vulcatContextErrorText(context) : why);
    vulcatDestroyTextStream(stream);
    vulcatDestroySession(session);
    vulcatDestroyModel(model);
    vulcatDestroyContext(context);
    return result == VULCAT_SUCCESS ? 0 : 1;
}
