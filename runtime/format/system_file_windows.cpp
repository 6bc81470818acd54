#include "format/system_file.h"

#include <algorithm>
#include <utility>

#ifndef NOMINMAX
#define NOMINMAX
#endif
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace vulcat::format {

namespace {

std::error_code latestError() {
    return {static_cast<int>(::GetLastError()), std::system_category()};
}

HANDLE asHandle(intptr_t handle) {
    return reinterpret_cast<HANDLE>(handle);
}

intptr_t openFile(const std::filesystem::path& path, DWORD access, DWORD share, DWORD disposition) {
    return reinterpret_cast<intptr_t>(
        ::CreateFileW(path.c_str(), access, share, nullptr, disposition, FILE_ATTRIBUTE_NORMAL, nullptr));
}

}  // namespace

SystemFile::~SystemFile() {
    if (isOpen()) ::CloseHandle(asHandle(handle_));
}

SystemFile::SystemFile(SystemFile&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}

SystemFile& SystemFile::operator=(SystemFile&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
}

SystemFile SystemFile::openForReading(const std::filesystem::path& path, std::error_code& error) {
    // FILE_SHARE_DELETE lets the file be renamed meanwhile, as it can be elsewhere.
    SystemFile file(openFile(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, OPEN_EXISTING));
    if (!file.isOpen()) {
        error = latestError();
        return {};
    }
    if (::GetFileType(asHandle(file.handle_)) != FILE_TYPE_DISK) {
        error = std::make_error_code(std::errc::not_supported);
        return {};
    }
    return file;
}

SystemFile SystemFile::create(const std::filesystem::path& path, std::error_code& error) {
    SystemFile file(openFile(path, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, CREATE_ALWAYS));
    if (!file.isOpen()) error = latestError();
    return file;
}

uint64_t SystemFile::sizeBytes(std::error_code& error) const {
    LARGE_INTEGER size{};
    if (::GetFileSizeEx(asHandle(handle_), &size) != 0) return static_cast<uint64_t>(size.QuadPart);
    error = latestError();
    return 0;
}

const std::byte* SystemFile::map(size_t sizeBytes, std::error_code& error) const {
    const HANDLE mapping = ::CreateFileMappingW(asHandle(handle_), nullptr, PAGE_READONLY, 0, 0, nullptr);
    void* address = mapping == nullptr ? nullptr : ::MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, sizeBytes);
    if (address == nullptr) error = latestError();
    // The view keeps the mapping alive.
    if (mapping != nullptr) ::CloseHandle(mapping);
    return static_cast<const std::byte*>(address);
}

void SystemFile::unmap(const std::byte* data, size_t) noexcept {
    if (data != nullptr) ::UnmapViewOfFile(data);
}

void SystemFile::forget(std::span<const std::byte> range) noexcept {
    // Unlocking what is not locked takes it out of the working set.
    if (!range.empty()) ::VirtualUnlock(const_cast<std::byte*>(range.data()), range.size());
}

void SystemFile::writeAt(uint64_t offset, std::span<const std::byte> bytes, std::error_code& error) {
    constexpr size_t kMostBytes = size_t{1} << 30;  // the count of WriteFile has 32 bits
    while (!bytes.empty()) {
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(offset);
        place.OffsetHigh = static_cast<DWORD>(offset >> 32);
        DWORD written = 0;
        const auto count = static_cast<DWORD>(std::min(bytes.size(), kMostBytes));
        if (::WriteFile(asHandle(handle_), bytes.data(), count, &written, &place) == 0) {
            error = latestError();
            return;
        }
        bytes = bytes.subspan(written);
        offset += written;
    }
}

void SystemFile::sync(std::error_code& error) {
    if (::FlushFileBuffers(asHandle(handle_)) == 0) error = latestError();
}

void SystemFile::close(std::error_code& error) {
    if (::CloseHandle(asHandle(std::exchange(handle_, kNone))) == 0) error = latestError();
}

// NTFS journals its names; there is no call for it.
void syncFolder(const std::filesystem::path&) {}

bool exchangeFolders(const std::filesystem::path&, const std::filesystem::path&) {
    return false;
}

}  // namespace vulcat::format
