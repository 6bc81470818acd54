#include "format/system_file.h"

#include <cerrno>
#include <cstdio>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vulcat::format {

namespace {

std::error_code latestError() {
    // A used-up quota is a full disk to whoever meets it.
    return {errno == EDQUOT ? ENOSPC : errno, std::generic_category()};
}

int descriptorOf(intptr_t handle) {
    return static_cast<int>(handle);
}

}  // namespace

SystemFile::~SystemFile() {
    if (isOpen()) ::close(descriptorOf(handle_));
}

SystemFile::SystemFile(SystemFile&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}

SystemFile& SystemFile::operator=(SystemFile&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
}

SystemFile SystemFile::openForReading(const std::filesystem::path& path, std::error_code& error) {
    // Without O_NONBLOCK a named pipe in the place of the file would block for ever.
    SystemFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!file.isOpen() || ::fstat(descriptorOf(file.handle_), &info) != 0) {
        error = latestError();
        return {};
    }
    if (!S_ISREG(info.st_mode)) {
        error = std::make_error_code(std::errc::not_supported);
        return {};
    }
    return file;
}

SystemFile SystemFile::create(const std::filesystem::path& path, std::error_code& error) {
    SystemFile file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file.isOpen()) error = latestError();
    return file;
}

uint64_t SystemFile::sizeBytes(std::error_code& error) const {
    struct stat info {};
    if (::fstat(descriptorOf(handle_), &info) == 0) return static_cast<uint64_t>(info.st_size);
    error = latestError();
    return 0;
}

const std::byte* SystemFile::map(size_t sizeBytes, std::error_code& error) const {
    void* address = ::mmap(nullptr, sizeBytes, PROT_READ, MAP_PRIVATE, descriptorOf(handle_), 0);
    if (address != MAP_FAILED) return static_cast<const std::byte*>(address);
    error = latestError();
    return nullptr;
}

void SystemFile::unmap(const std::byte* data, size_t sizeBytes) noexcept {
    if (data != nullptr) ::munmap(const_cast<std::byte*>(data), sizeBytes);
}

void SystemFile::forget(std::span<const std::byte> range) noexcept {
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<uintptr_t>(range.data()), end = begin + range.size();
    const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
    if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

void SystemFile::writeAt(uint64_t offset, std::span<const std::byte> bytes, std::error_code& error) {
    if (offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max()) - bytes.size()) {
        error = std::make_error_code(std::errc::file_too_large);
        return;
    }
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(descriptorOf(handle_), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0) {
            if (errno == EINTR) continue;
            error = latestError();
            return;
        }
        bytes = bytes.subspan(static_cast<size_t>(written));
        offset += static_cast<uint64_t>(written);
    }
}

void SystemFile::sync(std::error_code& error) {
    if (::fsync(descriptorOf(handle_)) != 0) error = latestError();
}

void SystemFile::close(std::error_code& error) {
    if (::close(descriptorOf(std::exchange(handle_, kNone))) != 0) error = latestError();
}

void syncFolder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);
    ::close(descriptor);
}

bool exchangeFolders(const std::filesystem::path& a, const std::filesystem::path& b) {
#ifdef RENAME_EXCHANGE
    return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
    static_cast<void>(a), static_cast<void>(b);
    return false;
#endif
}

}  // namespace vulcat::format
