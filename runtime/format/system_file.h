#pragma once
// Files as the operating system has them: the few operations that <filesystem> lacks, and all in this floor that differs
// between POSIX (system_file_posix.cpp) and Windows (system_file_windows.cpp). Private to the floor.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <system_error>

namespace vulcat::format {

/// An open file; move-only, closed by its destructor. In the manner of <filesystem>, an operation that fails sets `error`
/// to the system's own number, and leaves it alone otherwise. Precondition of all but isOpen(): it is open.
class SystemFile {
  public:
    SystemFile() = default;
    ~SystemFile();
    SystemFile(SystemFile&& other) noexcept;
    SystemFile& operator=(SystemFile&& other) noexcept;

    /// Opens a regular file. Whatever else is there (a folder, a named pipe) is std::errc::not_supported, without a wait.
    static SystemFile openForReading(const std::filesystem::path& path, std::error_code& error);
    /// Opens for writing what is then an empty file, new or not.
    static SystemFile create(const std::filesystem::path& path, std::error_code& error);

    bool isOpen() const { return handle_ != kNone; }
    uint64_t sizeBytes(std::error_code& error) const;
    /// Maps the first `sizeBytes` > 0 bytes for reading; the mapping outlives the file object, until unmap().
    const std::byte* map(size_t sizeBytes, std::error_code& error) const;
    static void unmap(const std::byte* data, size_t sizeBytes) noexcept;
    /// Takes the whole pages of a mapped range out of memory; reading them again brings them back.
    static void forget(std::span<const std::byte> range) noexcept;
    /// Writes all the bytes; what lies between the file's end and `offset` reads as zero.
    void writeAt(uint64_t offset, std::span<const std::byte> bytes, std::error_code& error);
    /// Waits until the disk has what was written.
    void sync(std::error_code& error);
    /// Closes; not open afterwards even when it fails.
    void close(std::error_code& error);

  private:
    // A file descriptor, or a HANDLE. "None" is the same for both.
    static constexpr intptr_t kNone = -1;
    explicit SystemFile(intptr_t handle) : handle_(handle) {}

    intptr_t handle_ = kNone;
};

/// Makes the names in a folder durable, where the system can; failing to is no failure. "" is the current folder.
void syncFolder(const std::filesystem::path& folder);

/// Exchanges two folders in one step, so that there is no moment without a whole folder under either name. False where
/// the system or the file system cannot.
bool exchangeFolders(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace vulcat::format
