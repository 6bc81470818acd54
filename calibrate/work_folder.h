#pragma once
// Where a calibration keeps its finished layers until the whole is done: `<out>.partial/`, with
//
//   manifest.json            fingerprint, and for each finished layer its file's digest and its sites' reports
//   layer-0000.safetensors   the layer's new tensors
//   folder/                  the output while it is put together
//
// Each file appears by a rename, the manifest after its layer; so a run that dies at any moment can go on.

#include "calibrate/report.h"

#include <filesystem>
#include <string>
#include <vector>

namespace vulcat::calibrate {

class WorkFolder {
  public:
    /// Checks the output's place and creates or takes up the work folder. A folder that belongs to another recipe or
    /// other inputs is dropped only with `overwrite`; files that the manifest does not vouch for are made again. Holds
    /// a lock, so that two runs never share it. Errors: InvalidArgument (in the way: an output, another unfinished run,
    /// one that is running), Failure (cannot create or read).
    /// One that is not `owner` only follows: it takes up what the owner has finished and never writes.
    WorkFolder(const std::filesystem::path& out, const std::string& fingerprint, bool overwrite, bool owner = true);
    ~WorkFolder();
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;

    /// An earlier run got as far as putting the output in its place: nothing is left but finish().
    bool outputComplete() const { return outputComplete_; }
    /// Reports of the layers that are finished, from layer 0 on; the output layer, where it is quantised, ends the list.
    const std::vector<std::vector<SiteReport>>& layers() const { return layers_; }
    std::filesystem::path layerFile(size_t layer) const;
    /// Enters the next layer, whose file must be there, in the manifest.
    void commitLayer(std::vector<SiteReport> sites);
    /// An empty folder to build the output in.
    std::filesystem::path beginOutput() const;
    /// Puts the built output in its place by a rename and removes the work folder.
    void finish();

    /// Throws Error(InvalidArgument) when `out` is in the way: something that is not a folder, a folder that vulcat did
    /// not write, or one that it wrote and `overwrite` is not set. Empty folders are free to use.
    static void requireFree(const std::filesystem::path& out, bool overwrite);
    /// Where the work folder of an output is.
    static std::filesystem::path pathFor(const std::filesystem::path& out);

  private:
    void resume(bool overwrite);
    void lock();
    void unlock();
    void writeManifest() const;

    std::filesystem::path out_, path_;
    std::string fingerprint_;
    std::vector<std::vector<SiteReport>> layers_;
    std::vector<std::string> digests_;
    bool outputComplete_ = false;
    bool owner_ = true;
    int lock_ = -1;
};

}  // namespace vulcat::calibrate
