#pragma once
// Small files that the program keeps between runs: compiled pipelines and tuned kernels of each device. They lie in the
// folder that the environment variable VULCAT_CACHE names ("off": nothing is kept), else in vulcat under the user's
// cache folder ($XDG_CACHE_HOME, ~/.cache, %LOCALAPPDATA%). Losing them costs time, never a result.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vulcat::cli {

/// Nothing where no such folder is known or VULCAT_CACHE is "off".
std::optional<std::filesystem::path> cacheFolder();

/// Nothing where there is no such file, it cannot be read, or it is larger than 256 MiB. Whoever asks checks the bytes.
std::vector<std::byte> readCached(const std::string& name);

/// Replaces the file as a whole. False where it could not be written; that is no error.
bool writeCached(const std::string& name, std::span<const std::byte> bytes);

}  // namespace vulcat::cli
