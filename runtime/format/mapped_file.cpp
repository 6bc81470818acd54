#include "format/mapped_file.h"

#include "base/error.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vulcat::format {

namespace {

[[noreturn]] void failReading(const std::filesystem::path& path, const std::string& why) {
    throw Error(Result::InvalidFile, "cannot read " + path.string() + ": " + why);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
    // Without O_NONBLOCK a named pipe in the place of the file would block for ever.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) failReading(path_, std::strerror(errno));
    struct stat info {};
    const char* problem = nullptr;
    if (::fstat(descriptor_, &info) != 0) {
        problem = std::strerror(errno);
    } else if (!S_ISREG(info.st_mode)) {
        problem = "it is not a regular file";
    } else if (info.st_size > 0) {
        size_ = static_cast<size_t>(info.st_size);
        void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
        if (address == MAP_FAILED) {
            problem = std::strerror(errno);
        } else {
            data_ = static_cast<const std::byte*>(address);
        }
    }
    if (problem != nullptr) {
        release();
        failReading(path_, problem);
    }
}

MappedFile::~MappedFile() {
    release();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    if (this == &other) return *this;
    release();
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
}

void MappedFile::release() noexcept {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
    if (descriptor_ >= 0) ::close(descriptor_);
    data_ = nullptr;
    descriptor_ = -1;
    size_ = 0;
}

void MappedFile::checkUnchanged() const {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0) failReading(path_, std::strerror(errno));
    if (static_cast<size_t>(info.st_size) != size_) {
        failReading(path_, "its size changed from " + std::to_string(size_) + " to " + std::to_string(info.st_size) +
                               " bytes while it was in use");
    }
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
