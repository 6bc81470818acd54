// What a calibration says of itself before and while it runs: sizes, and progress.

#include "calibrate/calibrate.h"
#include "calibrate/estimate.h"

#include "calibrate_workshop.h"

#include <doctest/doctest.h>

#include <cstdint>

using namespace vulcat;
using namespace vulcat::calibrate;
using test::bytesOf;
using test::Workshop;
namespace fs = std::filesystem;

TEST_CASE("estimate: sizes are close to what comes out, and nothing is written") {
    for (const int headBits : {16, 4}) {
        Workshop shop;
        shop.options.headBits = headBits;
        const Estimate told = estimate(shop.options);
        CHECK_FALSE(fs::exists(shop.temp / "out.partial"));
        const Report report = calibrate::calibrate(shop.options);
        uint64_t bytes = 0;
        for (const auto& [name, content] : bytesOf(shop.options.outDir)) bytes += content.size();
        CHECK(told.tokens == report.tokens);
        CHECK(told.sequences == report.sequences);
        CHECK(told.layers == 3);
        CHECK(told.seconds > 0.0);
        CHECK(told.freeDiskBytes > 0);
        CHECK(told.peakBytes > 0);
        MESSAGE("output " << bytes << " bytes, foretold " << told.outputBytes);
        CHECK(static_cast<double>(told.outputBytes) > 0.7 * static_cast<double>(bytes));
        CHECK(told.outputBytes < bytes + bytes / 4);
        CHECK(told.diskBytes > told.outputBytes);
    }
}

TEST_CASE("progress: never runs backwards and ends at its total") {
    for (const Rounding rounding : {Rounding::Nearest, Rounding::Gptq}) {
        Workshop shop;
        shop.options.rounding = rounding;
        shop.options.headBits = 8;
        uint64_t last = 0, total = 0;
        calibrate::calibrate(shop.options, [&](const ProgressUpdate& u) {
            CHECK(u.done >= last);
            CHECK(u.done <= u.total);
            last = u.done;
            total = u.total;
        });
        CHECK(last == total);
    }
}
