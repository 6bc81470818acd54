#include "calibrate/statistics_file.h"

#include "base/checked.h"
#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace vulcat::calibrate {

namespace {

namespace fs = std::filesystem;

constexpr const char* kStatisticsProgram = "vulcat statistics";
constexpr const char* kKeptRowsName = "kept_rows";
constexpr uint64_t kMostTokens = uint64_t{1} << 40;
constexpr int kMostShares = 65536;

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
    throw Error(Result::InvalidFile, file.string() + ": is no file of calibration statistics that fits: " + why);
}

void requireForm(const fs::path& file, const format::TensorView& tensor, format::DType type,
                 const std::vector<uint64_t>& shape) {
    if (tensor.dtype != type || tensor.shape != shape)
        refuse(file, "tensor '" + std::string(tensor.name) + "' has another type or shape than the model implies");
}

std::string metadataText(const format::SafetensorsFile& file, const char* key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) refuse(file.path(), std::string("its metadata lack '") + key + "'");
    return found->second;
}

uint64_t parseCount(const fs::path& file, const char* key, std::string_view text, uint64_t most) {
    uint64_t value = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status != std::errc() || end != text.data() + text.size() || value > most)
        refuse(file, std::string("metadata '") + key + "' is not a number up to " + std::to_string(most));
    return value;
}

std::vector<int> parseShares(const fs::path& file, const std::string& text, int count) {
    std::vector<int> shares;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(',', at), text.size());
        const std::string_view part(text.data() + at, end - at);
        shares.push_back(static_cast<int>(parseCount(file, "shares", part, static_cast<uint64_t>(count - 1))));
        if (shares.size() > 1 && shares[shares.size() - 2] >= shares.back())
            refuse(file, "metadata 'shares' is not ascending");
        at = end + 1;
    }
    return shares;
}

std::string sharesText(const std::vector<int>& shares) {
    std::string text;
    for (int share : shares) text += (text.empty() ? "" : ",") + std::to_string(share);
    return text;
}

StatisticsHeader readStatisticsHeader(const format::SafetensorsFile& file) {
    if (metadataText(file, "program") != kStatisticsProgram || metadataText(file, "format_version") != "1")
        refuse(file.path(), "another program or a newer version wrote it");
    const auto number = [&](const char* key, uint64_t most) {
        return parseCount(file.path(), key, metadataText(file, key), most);
    };
    StatisticsHeader header;
    header.model = metadataText(file, "model");
    header.texts = metadataText(file, "texts");
    header.tokens = number("tokens", kMostTokens);
    header.sequences = number("sequences", kMostTokens);
    header.rows = number("rows", header.tokens);
    header.shareCount = static_cast<int>(number("share_count", kMostShares));
    if (header.shareCount < 1) refuse(file.path(), "metadata 'share_count' is 0");
    header.shares = parseShares(file.path(), metadataText(file, "shares"), header.shareCount);
    return header;
}

std::map<std::string, std::string> statisticsMetadata(const StatisticsHeader& header) {
    return {{"program", kStatisticsProgram},
            {"format_version", "1"},
            {"model", header.model},
            {"texts", header.texts},
            {"tokens", std::to_string(header.tokens)},
            {"sequences", std::to_string(header.sequences)},
            {"rows", std::to_string(header.rows)},
            {"shares", sharesText(header.shares)},
            {"share_count", std::to_string(header.shareCount)}};
}

std::vector<format::TensorSpec> statisticsSpecs(size_t kept, const format::ModelConfig& config, int firstLayer,
                                                int lastLayer) {
    std::vector<format::TensorSpec> specs{{kKeptRowsName, format::DType::U64, {kept}}};
    for (int layer = firstLayer; layer < lastLayer; ++layer)
        for (format::SiteKind kind : format::sitesOf(config, layer)) {
            const uint64_t width = format::siteWidth(config, kind);
            const auto signedWidth = static_cast<Eigen::Index>(width);
            const std::string site = format::siteName(layer, kind);
            specs.push_back({site + ".moments", format::DType::F64, {SecondMoments::packedCount(signedWidth, 0)}});
            specs.push_back({site + ".rows", format::DType::F32, {kept, width}});
        }
    return specs;
}

/// |a_ij| <= sqrt(a_ii a_jj) holds for sums of squares; damage shows here long before a factor fails.
void requireMoments(const fs::path& file, const std::string& name, const SecondMoments& moments) {
    const MatrixD sums = moments.part(0, moments.width());
    if (!sums.allFinite()) refuse(file, "tensor '" + name + "' holds NaN or infinity");
    const Eigen::VectorXd roots = sums.diagonal().cwiseMax(0.0).cwiseSqrt();
    const double slack = 1e-5 * sums.diagonal().cwiseAbs().maxCoeff();
    for (Eigen::Index i = 0; i < sums.rows(); ++i)
        if (sums(i, i) < -slack ||
            ((sums.row(i).transpose().cwiseAbs() - (1 + 1e-5) * roots(i) * roots).array() > slack).any())
            refuse(file, "tensor '" + name + "' cannot be a sum of x x^T");
}

}  // namespace

StatisticsFile::StatisticsFile(const fs::path& path) : file_(path), header_(readStatisticsHeader(file_)) {
    const format::TensorView& kept = file_.at(kKeptRowsName);
    requireForm(path, kept, format::DType::U64, {kept.elements()});
    keptRows_.resize(kept.elements());
    std::memcpy(keptRows_.data(), kept.bytes.data(), kept.bytes.size());
    for (size_t i = 0; i < keptRows_.size(); ++i)
        if (keptRows_[i] >= header_.tokens || (i > 0 && keptRows_[i] <= keptRows_[i - 1]))
            refuse(path, "tensor 'kept_rows' is not an ascending list of tokens");
}

SiteStatistics StatisticsFile::read(const std::string& site, Eigen::Index width) const {
    const format::TensorView* found = file_.find(site + ".moments");
    if (found == nullptr)
        refuse(path(), "it has no inputs of '" + site + "', perhaps as an older version gathered it; gather the statistics again");
    const format::TensorView& sums = *found;
    requireForm(path(), sums, format::DType::F64, {SecondMoments::packedCount(width, 0)});
    std::vector<double> values(sums.elements());
    std::memcpy(values.data(), sums.bytes.data(), sums.bytes.size());
    SiteStatistics result{SecondMoments::fromPacked(width, 0, header_.rows, values), {}};
    requireMoments(file_.path(), std::string(sums.name), result.moments);
    const format::TensorView& rows = file_.at(site + ".rows");
    requireForm(path(), rows, format::DType::F32, {keptRows_.size(), static_cast<uint64_t>(width)});
    result.rows.resize(static_cast<Eigen::Index>(keptRows_.size()), width);
    format::toFloat(rows, std::span<float>(result.rows.data(), static_cast<size_t>(result.rows.size())));
    if (!result.rows.allFinite()) refuse(path(), "tensor '" + std::string(rows.name) + "' holds NaN or infinity");
    return result;
}

StatisticsWriter::StatisticsWriter(const fs::path& path, const StatisticsHeader& header,
                                   const std::vector<uint64_t>& keptRows, const format::ModelConfig& config,
                                   int firstLayer, int lastLayer)
    : writer_(path, statisticsSpecs(keptRows.size(), config, firstLayer, lastLayer), statisticsMetadata(header)) {
    writer_.write(kKeptRowsName, std::span<const uint64_t>(keptRows));
}

void StatisticsWriter::write(const std::string& site, const SiteStatistics& statistics) {
    const std::vector<double> values = statistics.moments.packed();
    writer_.write(site + ".moments", std::span<const double>(values));
    writer_.write(site + ".rows",
                  std::span<const float>(statistics.rows.data(), static_cast<size_t>(statistics.rows.size())));
}

void mergeStatistics(const std::vector<fs::path>& files, const fs::path& out, const format::ModelConfig& config) {
    if (files.empty()) throw Error(Result::InvalidArgument, "there are no files of statistics to merge");
    std::vector<StatisticsFile> parts;
    for (const fs::path& file : files) parts.emplace_back(file);
    std::sort(parts.begin(), parts.end(),
              [](const StatisticsFile& a, const StatisticsFile& b) { return a.header().shares < b.header().shares; });
    StatisticsHeader header = parts.front().header();
    std::vector<std::pair<uint64_t, std::pair<size_t, Eigen::Index>>> kept;  // token -> file and row there
    header.shares.clear();
    header.rows = 0;
    for (size_t f = 0; f < parts.size(); ++f) {
        const StatisticsHeader& other = parts[f].header();
        if (other.model != header.model || other.texts != header.texts || other.tokens != header.tokens ||
            other.sequences != header.sequences || other.shareCount != header.shareCount)
            throw Error(Result::InvalidArgument, parts[f].path().string() + ": does not belong to " +
                                                     parts.front().path().string() +
                                                     "; only shares of one model and one set of texts merge");
        for (int share : other.shares) {
            if (std::find(header.shares.begin(), header.shares.end(), share) != header.shares.end())
                throw Error(Result::InvalidArgument, parts[f].path().string() + ": holds share " +
                                                         std::to_string(share + 1) + ", which another file holds too");
            header.shares.push_back(share);
        }
        header.rows = checkedAdd(header.rows, other.rows, "the number of rows");
        for (size_t i = 0; i < parts[f].keptRows().size(); ++i)
            kept.push_back({parts[f].keptRows()[i], {f, static_cast<Eigen::Index>(i)}});
    }
    std::sort(header.shares.begin(), header.shares.end());
    std::sort(kept.begin(), kept.end());
    std::vector<uint64_t> keptRows;
    for (const auto& row : kept) keptRows.push_back(row.first);
    StatisticsWriter writer(out, header, keptRows, config, 0, config.layers + 1);
    for (int layer = 0; layer <= config.layers; ++layer)
        for (format::SiteKind kind : format::sitesOf(config, layer)) {
            const std::string site = format::siteName(layer, kind);
            const auto width = static_cast<Eigen::Index>(format::siteWidth(config, kind));
            SiteStatistics sum{SecondMoments(width, 0), Matrix(static_cast<Eigen::Index>(kept.size()), width)};
            for (size_t f = 0; f < parts.size(); ++f) {
                const SiteStatistics part = parts[f].read(site, width);
                sum.moments.add(part.moments);
                for (size_t i = 0; i < kept.size(); ++i)
                    if (kept[i].second.first == f)
                        sum.rows.row(static_cast<Eigen::Index>(i)) = part.rows.row(kept[i].second.second);
            }
            writer.write(site, sum);
        }
    writer.finish();
}

}  // namespace vulcat::calibrate
