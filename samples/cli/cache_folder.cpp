#include "cli/cache_folder.h"

#include "base/error.h"
#include "base/path_text.h"
#include "format/atomic_file.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace vulcat::cli {
namespace {

constexpr uint64_t kMostBytes = 256u << 20;

std::optional<std::filesystem::path> folderOf(const char* variable) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return pathOf(value);
}

}  // namespace

std::optional<std::filesystem::path> cacheFolder() {
    if (const auto own = folderOf("VULCAT_CACHE")) {
        return *own == "off" ? std::nullopt : own;
    }
    for (const char* variable : {"XDG_CACHE_HOME", "LOCALAPPDATA"}) {
        if (const auto folder = folderOf(variable)) return *folder / "vulcat";
    }
    if (const auto home = folderOf("HOME")) return *home / ".cache" / "vulcat";
    return std::nullopt;
}

std::vector<std::byte> readCached(const std::string& name) {
    const auto folder = cacheFolder();
    if (!folder) return {};
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(*folder / name, error);
    if (error || size > kMostBytes) return {};
    std::vector<std::byte> bytes(size);
    std::ifstream file(*folder / name, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) return {};
    return bytes;
}

bool writeCached(const std::string& name, std::span<const std::byte> bytes) {
    const auto folder = cacheFolder();
    if (!folder) return false;
    std::error_code error;
    std::filesystem::create_directories(*folder, error);
    if (error) return false;
    try {
        format::AtomicFile file(*folder / name);
        file.append(bytes);
        file.commit();
        return true;
    } catch (const Error&) {
        return false;
    }
}

}  // namespace vulcat::cli
