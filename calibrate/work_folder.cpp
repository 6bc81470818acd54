#include "calibrate/work_folder.h"

#include "calibrate/fingerprint.h"

#include "format/atomic_file.h"
#include "format/mapped_file.h"
#include "format/names.h"

#include "base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace vulcat::calibrate {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

namespace {

constexpr size_t kManifestLimit = size_t{256} << 20;
constexpr const char* kProgram = "vulcat calibrate";

fs::path withoutSlash(const fs::path& path) {
    return path.has_filename() ? path : path.parent_path();
}

json readJson(const fs::path& path) {
    json result = json::parse(format::readTextFile(path, kManifestLimit), nullptr, false);
    if (!result.is_object()) throw Error(Result::InvalidFile, path.string() + ": is not a JSON object");
    return result;
}

/// The fingerprint a finished output states, or nothing.
std::string outputFingerprint(const fs::path& out) {
    const fs::path report = out / "calibration_report.json";
    std::error_code status;
    if (!fs::exists(report, status)) return {};
    try {
        return readJson(report).value("fingerprint", "");
    } catch (const std::exception&) {
        return {};  // not ours, or damaged: then it is in the way
    }
}

}  // namespace

fs::path WorkFolder::pathFor(const fs::path& out) {
    return fs::path(withoutSlash(out).string() + ".partial");
}

void WorkFolder::requireFree(const fs::path& out, bool overwrite) {
    std::error_code status;
    if (!fs::exists(fs::symlink_status(out, status))) return;
    if (!fs::is_directory(out, status))
        throw Error(Result::InvalidArgument, out.string() + ": exists and is not a folder; choose another output");
    if (fs::is_empty(out, status)) return;
    if (!overwrite)
        throw Error(Result::InvalidArgument, out.string() + ": exists; choose another output or allow overwriting");
    if (!fs::exists(out / "calibration_report.json", status))
        throw Error(
            Result::InvalidArgument,
            out.string() + ": was not written by vulcat calibrate, so it is not replaced; choose another output");
}

WorkFolder::WorkFolder(const fs::path& out, const std::string& fingerprint, bool overwrite, bool owner)
    : out_(withoutSlash(out)), path_(pathFor(out)), fingerprint_(fingerprint), owner_(owner) {
    std::error_code status;
    const bool resumable = fs::exists(path_ / "manifest.json", status);
    outputComplete_ = resumable && outputFingerprint(out_) == fingerprint_;
    if (!owner_) {
        if (!resumable)
            throw Error(Result::Failure, path_.string() + ": is not there; all processes must see the same folder");
        resume(false);
        return;
    }
    if (!outputComplete_) requireFree(out_, overwrite);
    if (!resumable && fs::exists(path_, status) && !fs::is_empty(path_, status))
        throw Error(Result::InvalidArgument,
                    path_.string() + ": is in the way and holds no unfinished calibration; remove it");
    fs::create_directories(path_, status);
    if (status) throw Error(Result::Failure, "cannot create " + path_.string() + ": " + status.message());
    lock();
    try {
        if (resumable) resume(overwrite);
        if (!outputComplete_) writeManifest();
    } catch (...) {
        unlock();
        throw;
    }
}

WorkFolder::~WorkFolder() {
    unlock();
}

void WorkFolder::lock() {
    lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ < 0) throw Error(Result::Failure, "cannot open " + path_.string() + ": " + std::strerror(errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        unlock();
        throw Error(Result::InvalidArgument, path_.string() + ": another calibration is writing there");
    }
}

void WorkFolder::unlock() {
    if (lock_ >= 0) ::close(lock_);
    lock_ = -1;
}

void WorkFolder::resume(bool overwrite) {
    const fs::path manifest = path_ / "manifest.json";
    json stored;
    try {
        stored = readJson(manifest);
    } catch (const Error&) {
        stored = json::object();
    }
    // Nothing of a folder is ever removed that only happens to hold a file of this name.
    if (!stored.empty() && (!stored.contains("program") || stored["program"] != kProgram))
        throw Error(Result::InvalidArgument,
                    path_.string() + ": is in the way and holds no unfinished calibration; remove it");
    if (stored.value("fingerprint", "") != fingerprint_) {
        if (!overwrite)
            throw Error(Result::InvalidArgument, path_.string() +
                                                     ": holds an unfinished calibration with other options or "
                                                     "inputs; repeat those, allow overwriting, or remove it");
        for (const auto& entry : fs::directory_iterator(path_)) fs::remove_all(entry.path());
        return;
    }
    for (const json& layer : stored.value("layers", json::array())) {
        const fs::path file = layerFile(layers_.size());
        std::error_code status;
        if (!fs::exists(file, status) || fileDigest(file) != layer.value("digest", ""))
            return;  // made again from here on
        std::vector<SiteReport> sites;
        for (const json& site : layer.value("sites", json::array()))
            sites.push_back(siteReportFromJson(site, manifest.string()));
        const bool head = sites.size() == 1 && sites.front().site == format::kHeadSite;
        if (!head && sites.size() != format::kSites.size()) return;
        digests_.push_back(layer.value("digest", ""));
        layers_.push_back(std::move(sites));
        if (head) return;
    }
}

fs::path WorkFolder::layerFile(size_t layer) const {
    char name[40];
    std::snprintf(name, sizeof name, "layer-%04zu.safetensors", layer);
    return path_ / name;
}

void WorkFolder::commitLayer(std::vector<SiteReport> sites) {
    if (owner_) digests_.push_back(fileDigest(layerFile(layers_.size())));
    layers_.push_back(std::move(sites));
    if (owner_) writeManifest();
}

void WorkFolder::writeManifest() const {
    json layers = json::array();
    for (size_t i = 0; i < layers_.size(); ++i) {
        json sites = json::array();
        for (const SiteReport& site : layers_[i]) sites.push_back(toJson(site));
        layers.push_back({{"digest", digests_[i]}, {"sites", sites}});
    }
    const json manifest = {{"program", kProgram}, {"fingerprint", fingerprint_}, {"layers", layers}};
    format::writeTextFile(path_ / "manifest.json", manifest.dump(1) + "\n");
}

fs::path WorkFolder::beginOutput() const {
    const fs::path folder = path_ / "folder";
    std::error_code status;
    fs::remove_all(folder, status);
    fs::create_directory(folder, status);
    if (status) throw Error(Result::Failure, "cannot create " + folder.string() + ": " + status.message());
    return folder;
}

void WorkFolder::finish() {
    if (!outputComplete_) format::replaceFolder(path_ / "folder", out_);
    std::error_code status;  // the output stands; what cannot be removed now is no failure
    fs::remove_all(path_, status);
}

}  // namespace vulcat::calibrate
