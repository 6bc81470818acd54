#pragma once
// Files and folders that appear whole or not at all: written under a temporary name beside the target, synced to
// disk, then renamed over it.

#include "format/system_file.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>

namespace vulcat::format {

/// Writes `<path>.partial` and renames it to `path` in commit(). Destroyed before commit() (an exception, Ctrl-C
/// unwinding), it removes the partial file and leaves what was at `path` as it was. Move-only, single-threaded.
/// Errors: Failure naming the path, what the system said (a full disk in plain words) and that nothing was replaced.
class AtomicFile {
  public:
    explicit AtomicFile(const std::filesystem::path& path);
    ~AtomicFile();
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&& other) = delete;

    /// Appends at the end of what append() wrote so far.
    void append(std::span<const std::byte> bytes);
    void append(std::string_view text);
    /// Writes at a byte offset; gaps read as zero.
    void writeAt(uint64_t offset, std::span<const std::byte> bytes);
    /// Syncs and renames. Nothing may be written afterwards.
    void commit();

  private:
    [[noreturn]] void fail(const char* action, const std::error_code& error) const;

    std::filesystem::path path_;
    std::filesystem::path partial_;
    SystemFile file_;
    uint64_t end_ = 0;
};

/// Writes a whole text file atomically.
void writeTextFile(const std::filesystem::path& path, std::string_view text);

/// Copies one file atomically (bytes, not permissions). Errors: InvalidFile when the source cannot be read.
void copyFile(const std::filesystem::path& from, const std::filesystem::path& to);

/// Puts the finished folder `built` in the place of `target` (same file system): syncs it, exchanges the two in one
/// step (where that cannot be done: moves an existing `target` aside and renames), then deletes the old one; on failure
/// the old folder is back. `target` may be absent.
void replaceFolder(const std::filesystem::path& built, const std::filesystem::path& target);

}  // namespace vulcat::format
