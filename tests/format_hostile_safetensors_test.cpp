// Whatever the bytes, the reader throws Error(InvalidFile) or gives tensors that lie inside the file.

#include "format/safetensors.h"

#include "base/error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <cstring>

using namespace vulcat;
using namespace vulcat::format;
using test::safetensorsBytes;

namespace {

const std::string kHeader =
    R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"z":{"dtype":"I64","shape":[0,7],"data_offsets":[32,32]}})";
const std::string kData(32, '\x11');

// True when the bytes load; reads every byte the views claim, so that a sanitizer sees a lie.
bool loads(const test::TempFolder& folder, const std::string& bytes) {
    test::writeFile(folder / "model.safetensors", bytes);
    try {
        const TensorStore store(folder.path());
        unsigned sum = 0;
        for (const TensorView& tensor : store.tensors()) {
            for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
        }
        return sum < 1u << 30;
    } catch (const Error& error) {
        CHECK(error.code() == Result::InvalidFile);
        CHECK(std::strlen(error.what()) > 20);
        return false;
    }
}

bool headerLoads(const test::TempFolder& folder, const std::string& header, const std::string& data = kData) {
    return loads(folder, safetensorsBytes(header, data));
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

std::string oneTensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

}  // namespace

TEST_CASE("a file cut short at any byte is refused") {
    const test::TempFolder folder;
    const std::string whole = safetensorsBytes(kHeader, kData);
    CHECK(loads(folder, whole));
    for (size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        CHECK_FALSE(loads(folder, whole.substr(0, length)));
    }
    CHECK_FALSE(loads(folder, whole + "x"));
}

TEST_CASE("any flipped bit of length field and header is refused or harmless") {
    const test::TempFolder folder;
    const std::string whole = safetensorsBytes(kHeader, kData);
    int accepted = 0;
    for (size_t bit = 0; bit < (8 + kHeader.size()) * 8; ++bit) {
        std::string bytes = whole;
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
        accepted += loads(folder, bytes) ? 1 : 0;
    }
    // What may pass: other letters in names and metadata, another dtype of the same size, [0,7] with other numbers.
    CHECK(accepted > 0);
    CHECK(accepted < 150);
}

TEST_CASE("any integer of the header replaced by an extreme is refused or harmless") {
    const test::TempFolder folder;
    const std::vector<std::string> extremes = {"0",
                                               "1",
                                               "-1",
                                               "2147483647",
                                               "2147483648",
                                               "4294967295",
                                               "4294967296",
                                               "1099511627776",
                                               "9223372036854775807",
                                               "9223372036854775808",
                                               "18446744073709551615",
                                               "18446744073709551616",
                                               "1e3",
                                               "1.5",
                                               "null",
                                               "\"2\""};
    for (size_t begin = kHeader.find("\"w\""); begin < kHeader.size();) {
        begin = kHeader.find_first_of("0123456789", begin);
        if (begin == std::string::npos) break;
        const size_t end = kHeader.find_first_not_of("0123456789", begin);
        const bool isName = std::isalpha(static_cast<unsigned char>(kHeader[begin - 1])) != 0;
        for (const std::string& extreme : extremes) {
            if (isName) break;
            std::string header = kHeader;
            header.replace(begin, end - begin, extreme);
            CAPTURE(header);
            const bool harmless = header == kHeader || header.find("[0,7]") == std::string::npos;
            if (headerLoads(folder, header)) CHECK(harmless);
        }
        begin = end;
    }
}

TEST_CASE("lengths that lie") {
    const test::TempFolder folder;
    for (const uint64_t length : {0ull, 1ull, 7ull, 99'999'999ull, 100'000'001ull, 1ull << 31, 1ull << 32, 1ull << 62,
                                  (1ull << 63) - 1, 1ull << 63, ~0ull, ~0ull - 7}) {
        std::string bytes = safetensorsBytes(kHeader, kData);
        for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xFF);
        CHECK_FALSE(loads(folder, bytes));
    }
}

TEST_CASE("products that wrap around 2^64 do not pass for small tensors") {
    const test::TempFolder folder;
    CHECK_FALSE(
        headerLoads(folder, oneTensor("\"F32\"", "[4194305,4194305,211106198978564]", "[0,16]"), std::string(16, 'x')));
    CHECK_FALSE(headerLoads(folder, oneTensor("\"F64\"", "[2305843009213693952]", "[0,0]"), ""));
    CHECK_FALSE(headerLoads(folder, oneTensor("\"U8\"", "[4294967296,4294967296]", "[0,0]"), ""));
    // 0 times anything is 0 without any overflow on the way.
    CHECK(headerLoads(folder, oneTensor("\"U8\"", "[0,4294967296]", "[0,0]"), ""));
}

TEST_CASE("holes, overlaps, order and rests") {
    const test::TempFolder folder;
    const auto two = [&](const char* a, const char* b, const char* shapeA = "[4]", const char* shapeB = "[4]") {
        return headerLoads(folder,
                           std::string(R"({"a":{"dtype":"U8","shape":)") + shapeA + R"(,"data_offsets":)" + a +
                               R"(},"b":{"dtype":"U8","shape":)" + shapeB + R"(,"data_offsets":)" + b + "}}",
                           std::string(8, 'x'));
    };
    CHECK(two("[0,4]", "[4,8]"));
    CHECK(two("[4,8]", "[0,4]"));
    CHECK_FALSE(two("[0,4]", "[0,4]"));
    CHECK_FALSE(two("[0,4]", "[3,7]"));
    CHECK_FALSE(two("[0,4]", "[5,9]"));
    CHECK_FALSE(two("[4,8]", "[5,9]"));
    CHECK_FALSE(two("[4,0]", "[4,8]"));
    CHECK_FALSE(two("[0,3]", "[4,8]"));
    CHECK(two("[0,8]", "[0,0]", "[8]", "[0]"));
    CHECK(two("[0,8]", "[8,8]", "[8]", "[0]"));
    CHECK_FALSE(two("[0,8]", "[4,4]", "[8]", "[0]"));
    CHECK_FALSE(two("[0,8]", "[9,9]", "[8]", "[0]"));
    CHECK_FALSE(headerLoads(folder, "{}", "x"));
    CHECK(headerLoads(folder, "{}", ""));
}

TEST_CASE("duplicate keys, at every level") {
    const test::TempFolder folder;
    const std::string entry = R"("w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
    CHECK(headerLoads(folder, "{" + entry + "}", "1234"));
    CHECK_FALSE(headerLoads(folder, "{" + entry + "," + entry + "}", "1234"));
    CHECK_FALSE(headerLoads(folder, R"({"w":{"dtype":"U8","shape":[4],"dtype":"U8","data_offsets":[0,4]}})", "1234"));
    CHECK_FALSE(
        headerLoads(folder, R"({"w":{"dtype":"U8","shape":[4],"\u0064type":"I8","data_offsets":[0,4]}})", "1234"));
    CHECK_FALSE(headerLoads(folder, R"({"__metadata__":{},)" + entry + R"(,"__metadata__":{}})", "1234"));
}

TEST_CASE("dtypes, names, dimensions, nesting, and other shapes of nonsense") {
    const test::TempFolder folder;
    const std::string four = "1234";
    CHECK(headerLoads(folder, oneTensor("\"I32\"", "[1,1,1,1,1,1,1,1]", "[0,4]"), four));
    CHECK_FALSE(headerLoads(folder, oneTensor("\"I32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), four));
    for (const char* dtype : {"\"F4\"", "\"f32\"", "\"\"", "7", "null", "[]", "\"F32 \""}) {
        CHECK_FALSE(headerLoads(folder, oneTensor(dtype, "[1]", "[0,4]"), four));
    }
    for (const char* offsets : {"[]", "[0]", "[0,4,4]", "{}", "null", "\"0,4\"", "[0.0,4.0]", "[-4,0]"}) {
        CHECK_FALSE(headerLoads(folder, oneTensor("\"F32\"", "[1]", offsets), four));
    }
    const auto named = [&](const std::string& name) {
        return headerLoads(folder, replaced(oneTensor("\"F32\"", "[1]", "[0,4]"), "w", name), four);
    };
    CHECK(named(std::string(512, 'n')));
    CHECK_FALSE(named(std::string(513, 'n')));
    CHECK_FALSE(named(""));
    CHECK_FALSE(named("\xC0\xAF"));
    const std::string deep(100, '[');
    CHECK_FALSE(headerLoads(folder, R"({"__metadata__":)" + deep + std::string(100, ']') + "}", ""));
    CHECK_FALSE(headerLoads(folder, std::string(3'000'000, '['), ""));
    CHECK_FALSE(headerLoads(folder, R"({"__metadata__":{"a":1}})", ""));
    CHECK_FALSE(headerLoads(folder, R"({"w":[]})", ""));
    CHECK_FALSE(headerLoads(folder, "[]", ""));
    CHECK_FALSE(headerLoads(folder, "", ""));
    CHECK_FALSE(headerLoads(folder, "{} {}", ""));
    std::string many = "{";
    for (int i = 0; i < 65'537; ++i) {
        many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    }
    CHECK_FALSE(headerLoads(folder, many + "}", ""));
}

TEST_CASE("not a file at all") {
    const test::TempFolder folder;
    CHECK_THROWS_AS(SafetensorsFile(folder / "absent.safetensors"), Error);
    CHECK_THROWS_AS(SafetensorsFile(folder.path()), Error);
    CHECK_THROWS_AS(SafetensorsFile("/dev/zero"), Error);
}
