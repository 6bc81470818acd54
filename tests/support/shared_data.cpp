#include "support/shared_data.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace vulcat::test {

namespace {
int& skips() {
    static int count = 0;
    return count;
}
}  // namespace

std::filesystem::path storyModel() {
    const char* folder = std::getenv("VULCAT_STORY_MODEL");
    return folder != nullptr && *folder != '\0' ? folder : VULCAT_DEFAULT_STORY_MODEL;
}

void reportSkip(std::string_view why) {
    std::printf("SKIPPED: %.*s\n", static_cast<int>(why.size()), why.data());
    ++skips();
}

int skipCount() {
    return skips();
}

std::optional<std::filesystem::path> sharedData(std::string_view relative) {
    const char* folder = std::getenv("VULCAT_SHARED");
    const std::filesystem::path root = folder != nullptr && *folder != '\0' ? folder : VULCAT_DEFAULT_SHARED;
    std::filesystem::path path = root / "data" / relative;
    if (std::filesystem::exists(path)) return path;
    reportSkip("no shared data at " + path.string() + " (set VULCAT_SHARED)");
    return std::nullopt;
}

}  // namespace vulcat::test
