// compare_statistics A B: exit code 0 when two files of calibration statistics agree, sums to 1e-12 of the largest.

#include "calibrate/statistics_file.h"

#include "base/error.h"

#include <cstdio>
#include <string>

int main(int count, char** arguments) {
    using namespace vulcat;
    using namespace vulcat::calibrate;
    try {
        if (count != 3) throw Error(Result::InvalidArgument, "two files are needed");
        const StatisticsFile a(arguments[1]), b(arguments[2]);
        if (a.keptRows() != b.keptRows() || a.header().rows != b.header().rows || !a.header().complete() ||
            !b.header().complete())
            throw Error(Result::WrongResult, "the files hold different tokens");
        double worst = 0;
        for (const format::TensorView& tensor : a.tensors().tensors()) {
            const std::string name(tensor.name), suffix = ".rows";
            if (name.size() < suffix.size() || name.substr(name.size() - suffix.size()) != suffix) continue;
            const std::string site = name.substr(0, name.size() - suffix.size());
            const auto width = static_cast<Eigen::Index>(tensor.shape.at(1));
            const SiteStatistics x = a.read(site, width), y = b.read(site, width);
            if (x.rows != y.rows) throw Error(Result::WrongResult, site + ": kept rows differ");
            const MatrixD p = x.moments.part(0, width), q = y.moments.part(0, width);
            worst = std::max(worst, (p - q).cwiseAbs().maxCoeff() / p.cwiseAbs().maxCoeff());
        }
        std::printf("largest difference of sums, relative: %.1e\n", worst);
        return worst < 1e-12 ? 0 : 1;
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
