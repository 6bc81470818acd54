#pragma once
// Second moments of every site in a file, so that many processes or machines can each take a share of the texts.
//
// A safetensors file. Metadata: "program", "format_version", "model" and "texts" (fingerprints), "tokens" and
// "sequences" (of all shares together), "rows" (that are in the sums), "shares" ("0,2") and "share_count". Tensors:
//
//   kept_rows        U64 [R]     tokens whose inputs are kept, ascending, counted over all shares
//   <site>.moments   F64 [...]   the sum of x x^T: the triangle on and above the diagonal, row by row
//   <site>.rows      F32 [R, K]  inputs of the kept tokens
//
// Sites are those of all layers and "lm_head".
//
// Files add up: shares of the same model and texts, none of them twice, merge to one file. Sums differ from those of
// one process in their order alone. A file may come from anywhere and is checked like every container.

#include "calibrate/statistics.h"

#include "format/model_config.h"
#include "format/names.h"
#include "format/safetensors.h"

#include <filesystem>
#include <string>
#include <vector>

namespace vulcat::calibrate {

/// What a file says of itself. Files merge when all but `rows` and `shares` are equal.
struct StatisticsHeader {
    std::string model, texts;  ///< fingerprints, 16 hex digits
    uint64_t tokens = 0, sequences = 0;
    uint64_t rows = 0;        ///< tokens in the sums
    std::vector<int> shares;  ///< ascending, counted from 0
    int shareCount = 1;

    bool complete() const { return static_cast<int>(shares.size()) == shareCount; }
};

/// What passed one site of the float model.
struct SiteStatistics {
    SecondMoments moments;
    Matrix rows;  ///< inputs of the kept tokens, [R, K]
};

class StatisticsFile {
  public:
    /// Errors: InvalidFile naming the file and the field or tensor that is missing or wrong.
    explicit StatisticsFile(const std::filesystem::path& path);

    const StatisticsHeader& header() const { return header_; }
    const std::vector<uint64_t>& keptRows() const { return keptRows_; }
    const std::filesystem::path& path() const { return file_.path(); }
    const format::SafetensorsFile& tensors() const { return file_; }
    /// One site. Sums must be finite and such that a matrix of second moments can have them; else, and where sizes
    /// disagree with the model, Error(InvalidFile).
    SiteStatistics read(const std::string& site, Eigen::Index width) const;

  private:
    format::SafetensorsFile file_;
    StatisticsHeader header_;
    std::vector<uint64_t> keptRows_;
};

/// Writes one file, site after site in any order (see format::SafetensorsWriter).
class StatisticsWriter {
  public:
    /// The file holds the sites of format::sitesOf() for firstLayer up to, not with, lastLayer.
    StatisticsWriter(const std::filesystem::path& path, const StatisticsHeader& header,
                     const std::vector<uint64_t>& keptRows, const format::ModelConfig& config, int firstLayer,
                     int lastLayer);
    void write(const std::string& site, const SiteStatistics& statistics);
    void finish() { writer_.finish(); }

  private:
    format::SafetensorsWriter writer_;
};

/// Adds up files of different shares. One site is in memory at a time. The order of `files` does not matter.
/// Errors: InvalidArgument when files do not belong together or a share comes twice, InvalidFile.
void mergeStatistics(const std::vector<std::filesystem::path>& files, const std::filesystem::path& out,
                     const format::ModelConfig& config);

}  // namespace vulcat::calibrate
