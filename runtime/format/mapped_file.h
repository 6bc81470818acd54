#pragma once
// A file mapped read-only into memory.

#include "format/system_file.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace vulcat::format {

/// Maps a whole regular file for reading; the mapping lives as long as the object. Move-only; safe to read from
/// several threads.
/// Errors: InvalidFile when the file is missing, unreadable, or not a regular file. An empty file gives no bytes.
/// Someone else cutting the file short while it is mapped would end the process at the next access (SIGBUS), which no
/// check can fully prevent; checkUnchanged() before a long read turns all but a race into an Error.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;

    std::span<const std::byte> bytes() const { return {data_, size_}; }
    size_t sizeBytes() const { return size_; }
    const std::filesystem::path& path() const { return path_; }

    /// Throws InvalidFile if the file's size is not what it was when it was opened.
    void checkUnchanged() const;

  private:
    void release() noexcept;

    std::filesystem::path path_;
    SystemFile file_;
    const std::byte* data_ = nullptr;
    size_t size_ = 0;
};

/// Tells the system that a part of a mapped file was read to its end: its pages need not stay in memory. What is read
/// again comes back. Only for bytes of a MappedFile.
void forgetPages(std::span<const std::byte> bytes) noexcept;

/// The whole file as text. Errors: InvalidFile when it is missing or larger than `limitBytes`.
std::string readTextFile(const std::filesystem::path& path, size_t limitBytes);

}  // namespace vulcat::format
