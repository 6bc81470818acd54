#include "calibrate/statistics_source.h"

#include "calibrate/fingerprint.h"
#include "calibrate/gather_statistics.h"
#include "calibrate/parallel.h"

#include "base/error.h"

#include <utility>

namespace vulcat::calibrate {

StatisticsSource::StatisticsSource(const std::filesystem::path& file, const format::ModelConfig& config,
                                   const format::TensorStore& model)
    : config_(config), file_(file) {
    if (header().model != modelFingerprint(model))
        throw Error(Result::InvalidArgument,
                    file.string() + ": was gathered from another model than " + model.folder().string());
    if (!header().complete() || file_.keptRows().empty())
        throw Error(Result::InvalidArgument, file.string() + ": holds " + std::to_string(header().shares.size()) +
                                                 " of " + std::to_string(header().shareCount) +
                                                 " shares; merge the others into it first");
}

std::vector<SiteInputs> StatisticsSource::layer(int index) const {
    std::vector<SiteInputs> sites;
    for (format::SiteKind kind : format::sitesOf(config_, index)) {
        SiteStatistics site =
            file_.read(format::siteName(index, kind), static_cast<Eigen::Index>(format::siteWidth(config_, kind)));
        sites.push_back({std::move(site.moments), std::move(site.rows)});
    }
    return sites;
}

std::string StatisticsSource::digest() const {
    return fileDigest(file_.path());
}

InputMoments floatMoments(const SecondMoments& moments, const std::optional<format::Transform>& transform,
                          int threads) {
    InputMoments result;
    result.hessian = moments.part(0, moments.width());
    if (!transform) return result;
    const auto width = static_cast<size_t>(moments.width());
    for (int side = 0; side < 2; ++side) {
        parallelFor(width, threads, [&](size_t r) {
            format::applyTransform<double>(
                *transform, std::span<double>(result.hessian.row(static_cast<Eigen::Index>(r)).data(), width));
        });
        result.hessian.transposeInPlace();
    }
    return result;
}

}  // namespace vulcat::calibrate
