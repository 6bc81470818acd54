#include "format/atomic_file.h"

#include "base/error.h"
#include "base/path_text.h"
#include "format/mapped_file.h"

#include <string>
#include <utility>

namespace vulcat::format {

namespace {

namespace fs = std::filesystem;

std::string reason(const std::error_code& error) {
    return error == std::errc::no_space_on_device ? "the disk is full" : error.message();
}

fs::path withSuffix(const fs::path& path, const char* suffix) {
    // "out/" must become "out.partial", not "out/.partial".
    fs::path result = path.has_filename() ? path : path.parent_path();
    result += suffix;
    return result;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path), partial_(withSuffix(path, ".partial")) {
    std::error_code error;
    file_ = SystemFile::create(partial_, error);
    if (error) fail("create", error);
}

AtomicFile::~AtomicFile() {
    if (!file_.isOpen()) return;
    std::error_code ignored;
    file_.close(ignored);
    fs::remove(partial_, ignored);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      file_(std::move(other.file_)),
      end_(other.end_) {}

void AtomicFile::fail(const char* action, const std::error_code& error) const {
    throw Error(Result::Failure, std::string("cannot ") + action + " " + pathText(partial_) + ": " + reason(error) +
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
    std::error_code error;
    file_.writeAt(offset, bytes, error);
    if (error) fail("write", error);
}

void AtomicFile::commit() {
    std::error_code error;
    file_.sync(error);
    if (error) fail("sync", error);
    file_.close(error);
    if (!error) fs::rename(partial_, path_, error);
    if (error) {
        std::error_code ignored;
        fs::remove(partial_, ignored);
        fail("rename", error);
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
        throw Error(Result::Failure, "cannot " + action + ": " + reason(code) + "; " + pathText(plain) +
                                         " is as it was and the new folder is still at " + pathText(built));
    };
    for (fs::recursive_directory_iterator entry(built, code), end; !code && entry != end; entry.increment(code)) {
        std::error_code ignored;
        if (entry->is_directory(ignored)) syncFolder(entry->path());
    }
    if (code) fail("read " + pathText(built));
    syncFolder(built);
    if (fs::is_directory(plain, code) && exchangeFolders(built, plain)) {
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
        if (code) fail("move " + pathText(plain) + " aside");
    }
    fs::rename(built, plain, code);
    if (code) {
        if (replaces) fs::rename(old, plain, ignored);
        fail("rename " + pathText(built));
    }
    syncFolder(plain.parent_path());
    if (replaces) fs::remove_all(old, code);
}

}  // namespace vulcat::format
