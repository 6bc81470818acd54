#pragma once
// Real models and texts made by others, outside the project: $VULCAT_SHARED/data, else ../shared/data beside the
// source.

#include <filesystem>
#include <optional>
#include <string_view>

namespace vulcat::test {

/// `data/<relative>` of the shared folder, or nothing when it is not there; then "SKIPPED: ..." is printed and counted.
std::optional<std::filesystem::path> sharedData(std::string_view relative);

/// The folder of the bundled model: $VULCAT_STORY_MODEL, else the one in the source.
std::filesystem::path storyModel();

/// Prints "SKIPPED: <why>" and counts it.
void reportSkip(std::string_view why);

/// Skips reported so far.
int skipCount();

}  // namespace vulcat::test

/// Ends the test case as skipped unless the shared file or folder is there; else `variable` is its path.
#define VULCAT_SHARED_OR_SKIP(variable, relative)                      \
    const auto variable##Found = ::vulcat::test::sharedData(relative); \
    if (!variable##Found) return;                                      \
    const std::filesystem::path variable = *variable##Found
