#include "format/mapped_file.h"

#include "base/error.h"
#include "base/path_text.h"

#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace vulcat::format {

namespace {

[[noreturn]] void failReading(const std::filesystem::path& path, const std::string& why) {
    throw Error(Result::InvalidFile, "cannot read " + pathText(path) + ": " + why);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    file_ = SystemFile::openForReading(path, error);
    if (error == std::errc::not_supported) failReading(path_, "it is not a regular file");
    if (error) failReading(path_, error.message());
    const uint64_t size = file_.sizeBytes(error);
    if (error) failReading(path_, error.message());
    if (size > std::numeric_limits<size_t>::max()) failReading(path_, "it is larger than the address space");
    if (size == 0) return;
    data_ = file_.map(static_cast<size_t>(size), error);
    if (error) failReading(path_, error.message());
    size_ = static_cast<size_t>(size);
}

MappedFile::~MappedFile() {
    release();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    if (this == &other) return *this;
    release();
    path_ = std::move(other.path_);
    file_ = std::move(other.file_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
}

void MappedFile::release() noexcept {
    SystemFile::unmap(data_, size_);
    data_ = nullptr;
    size_ = 0;
}

void MappedFile::checkUnchanged() const {
    std::error_code error;
    const uint64_t size = file_.sizeBytes(error);
    if (error) failReading(path_, error.message());
    if (size != size_) {
        failReading(path_, "its size changed from " + std::to_string(size_) + " to " + std::to_string(size) +
                               " bytes while it was in use");
    }
}

void forgetPages(std::span<const std::byte> bytes) noexcept {
    SystemFile::forget(bytes);
}

std::string readTextFile(const std::filesystem::path& path, size_t limitBytes) {
    const MappedFile file(path);
    if (file.sizeBytes() > limitBytes) {
        failReading(path, "it has " + std::to_string(file.sizeBytes()) + " bytes, more than the " +
                              std::to_string(limitBytes) + " allowed here");
    }
    return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.sizeBytes());
}

}  // namespace vulcat::format
