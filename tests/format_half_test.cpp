#include "format/half.h"

#include "support/rng.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

using namespace vulcat::format;

namespace {

bool isHalfNan(unsigned half) {
    return (half & 0x7FFFu) > 0x7C00u;
}

// The definition: the nearest of all finite fp16 values, ties to the even pattern. Searches between neighbours.
uint16_t nearestHalf(float value) {
    const double magnitude = std::fabs(static_cast<double>(value));
    const unsigned sign = std::signbit(value) ? 0x8000u : 0u;
    if (magnitude >= 65520) return static_cast<uint16_t>(sign | 0x7C00u);
    unsigned low = 0;
    unsigned high = 0x7C00u;  // read as 65536 in this search
    const auto valueOf = [](unsigned h) {
        return h == 0x7C00u ? 65536.0 : double{halfToFloat(static_cast<uint16_t>(h))};
    };
    while (high - low > 1) {
        const unsigned middle = (low + high) / 2;
        (valueOf(middle) <= magnitude ? low : high) = middle;
    }
    const double below = magnitude - valueOf(low);
    const double above = valueOf(high) - magnitude;
    const unsigned best = below < above ? low : above < below ? high : low % 2 == 0 ? low : high;
    return static_cast<uint16_t>(sign | best);
}

}  // namespace

TEST_CASE("every fp16 value survives the way through float32") {
    for (unsigned half = 0; half < 0x10000u; ++half) {
        const float value = halfToFloat(static_cast<uint16_t>(half));
        const uint16_t back = floatToHalf(value);
        if (isHalfNan(half)) {
            REQUIRE(std::isnan(value));
            REQUIRE(isHalfNan(back));
            REQUIRE((back & 0x8000u) == (half & 0x8000u));
        } else {
            REQUIRE(back == half);
        }
    }
}

TEST_CASE("fp16 values are what their bits say") {
    CHECK(halfToFloat(0x3C00) == 1.0f);
    CHECK(halfToFloat(0xC000) == -2.0f);
    CHECK(halfToFloat(0x7BFF) == 65504.0f);
    CHECK(halfToFloat(0x0400) == 0x1p-14f);
    CHECK(halfToFloat(0x0001) == 0x1p-24f);
    CHECK(halfToFloat(0x03FF) == 1023 * 0x1p-24f);
    CHECK(std::isinf(halfToFloat(0x7C00)));
    CHECK(std::signbit(halfToFloat(0x8000)));
}

TEST_CASE("every tie between two fp16 neighbours goes to the even one, and its float neighbours do not") {
    for (unsigned half = 0; half < 0x7BFFu; ++half) {
        const float low = halfToFloat(static_cast<uint16_t>(half));
        const float high = halfToFloat(static_cast<uint16_t>(half + 1));
        const float tie = 0.5f * (low + high);  // exact in float32
        REQUIRE(floatToHalf(tie) == (half % 2 == 0 ? half : half + 1));
        REQUIRE(floatToHalf(-tie) == (0x8000u | (half % 2 == 0 ? half : half + 1)));
        REQUIRE(floatToHalf(std::nextafter(tie, 0.0f)) == half);
        REQUIRE(floatToHalf(std::nextafter(tie, 70000.0f)) == half + 1);
    }
    CHECK(floatToHalf(65519.996f) == 0x7BFF);
    CHECK(floatToHalf(65520.0f) == 0x7C00);
    CHECK(floatToHalf(-std::numeric_limits<float>::infinity()) == 0xFC00);
    CHECK(floatToHalf(0x1p-25f) == 0);
    CHECK(floatToHalf(std::nextafter(0x1p-25f, 1.0f)) == 1);
    CHECK(floatToHalf(std::numeric_limits<float>::denorm_min()) == 0);
}

TEST_CASE("random float32 bits round to the nearest fp16 and bf16") {
    vulcat::test::Rng rng(1);
    for (int i = 0; i < 200'000; ++i) {
        const float value = std::bit_cast<float>(static_cast<uint32_t>(rng.next()));
        if (std::isnan(value)) {
            CHECK(isHalfNan(floatToHalf(value)));
            CHECK(std::isnan(bfloat16ToFloat(floatToBfloat16(value))));
            continue;
        }
        REQUIRE(floatToHalf(value) == nearestHalf(value));
        const uint16_t low = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
        const uint16_t rounded = floatToBfloat16(value);
        REQUIRE((rounded == low || rounded == low + 1));
        if (std::isfinite(value) && std::isfinite(bfloat16ToFloat(static_cast<uint16_t>(low + 1)))) {
            const double below = std::fabs(double{value} - double{bfloat16ToFloat(low)});
            const double above = std::fabs(double{bfloat16ToFloat(static_cast<uint16_t>(low + 1))} - double{value});
            if (below != above) REQUIRE(rounded == (below < above ? low : low + 1));
            if (below == above) REQUIRE(rounded % 2 == 0);
        }
    }
    for (unsigned bits = 0; bits < 0x10000u; ++bits) {
        const float value = bfloat16ToFloat(static_cast<uint16_t>(bits));
        if (!std::isnan(value)) REQUIRE(floatToBfloat16(value) == bits);
    }
}
