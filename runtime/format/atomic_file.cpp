#include "format/atomic_file.h"

#include "base/error.h"
#include "format/mapped_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace vulcat::format {

namespace {

namespace fs = std::filesystem;

std::string reason(int number) {
    if (number == ENOSPC || number == EDQUOT) return "the disk is full";
    return std::strerror(number);
}

// Makes a rename itself durable. Some file systems cannot sync folders; that is no reason to fail.
void syncFolder(const fs::path& folder) {
    const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);
    ::close(descriptor);
}

fs::path withSuffix(const fs::path& path, const char* suffix) {
    // "out/" must become "out.partial", not "out/.partial".
    const fs::path plain = path.has_filename() ? path : path.parent_path();
    return fs::path(plain.string() + suffix);
}

// Exchanges two folders in one step, so that there is no moment without a whole folder under either name. False where
// the file system or the C library cannot.
bool exchanged(const fs::path& a, const fs::path& b) {
#ifdef RENAME_EXCHANGE
    return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
    static_cast<void>(a), static_cast<void>(b);
    return false;
#endif
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path), partial_(withSuffix(path, ".partial")) {
    descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("create");
}

AtomicFile::~AtomicFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(partial_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      end_(other.end_) {}

void AtomicFile::fail(const char* action) const {
    throw Error(Result::Failure, std::string("cannot ") + action + " " + partial_.string() + ": " + reason(errno) +
                                     "; nothing was replaced");
}

void AtomicFile::append(std::span<const std::byte> bytes) {
    writeAt(end_, bytes);
    end_ += bytes.size();
}

void AtomicFile::append(std::string_view text) {
    append(std::as_bytes(std::span(text)));
}

void AtomicFile::writeAt(uint64_t offset, std::span<const std::byte> bytes) {
    if (offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max()) - bytes.size()) {
        errno = EFBIG;
        fail("write");
    }
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0) {
            if (errno == EINTR) continue;
            fail("write");
        }
        bytes = bytes.subspan(static_cast<size_t>(written));
        offset += static_cast<uint64_t>(written);
    }
}

void AtomicFile::commit() {
    if (::fsync(descriptor_) != 0) fail("sync");
    if (::close(std::exchange(descriptor_, -1)) != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) {
        const int number = errno;
        ::unlink(partial_.c_str());
        errno = number;
        fail("rename");
    }
    syncFolder(path_.parent_path());
}

void writeTextFile(const fs::path& path, std::string_view text) {
    AtomicFile file(path);
    file.append(text);
    file.commit();
}

void copyFile(const fs::path& from, const fs::path& to) {
    const MappedFile source(from);
    AtomicFile file(to);
    file.append(source.bytes());
    file.commit();
}

void replaceFolder(const fs::path& built, const fs::path& target) {
    const fs::path old = withSuffix(target, ".replaced");
    const fs::path plain = withSuffix(target, "");
    std::error_code code;
    const auto fail = [&](const std::string& action) {
        throw Error(Result::Failure, "cannot " + action + ": " + reason(code.value()) + "; " + plain.string() +
                                         " is as it was and the new folder is still at " + built.string());
    };
    for (fs::recursive_directory_iterator entry(built, code), end; !code && entry != end; entry.increment(code)) {
        std::error_code ignored;
        if (entry->is_directory(ignored)) syncFolder(entry->path());
    }
    if (code) fail("read " + built.string());
    syncFolder(built);
    if (fs::is_directory(plain, code) && exchanged(built, plain)) {
        syncFolder(plain.parent_path());
        fs::remove_all(built, code);  // now the old folder; what cannot be removed is no failure
        return;
    }
    // Left by a crash between the two renames: the target itself is then missing or whole, so this one is not needed.
    std::error_code ignored;
    const bool replaces = fs::exists(plain, ignored);
    if (replaces) fs::remove_all(old, code);
    if (replaces) {
        fs::rename(plain, old, code);
        if (code) fail("move " + plain.string() + " aside");
    }
    fs::rename(built, plain, code);
    if (code) {
        if (replaces) fs::rename(old, plain, ignored);
        fail("rename " + built.string());
    }
    syncFolder(plain.parent_path());
    if (replaces) fs::remove_all(old, code);
}

}  // namespace vulcat::format
