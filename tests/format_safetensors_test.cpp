#include "format/safetensors.h"

#include "base/error.h"
#include "format/half.h"
#include "support/rng.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace vulcat;
using namespace vulcat::format;

namespace {

std::vector<TensorSpec> randomSpecs(test::Rng& rng) {
    std::vector<TensorSpec> specs;
    const int64_t count = rng.integer(0, 12);
    for (int64_t i = 0; i < count; ++i) {
        TensorSpec spec;
        spec.name = "tensor." + std::to_string(rng.integer(0, 999)) + "." + std::to_string(i);
        spec.dtype = static_cast<DType>(rng.integer(0, 14));
        for (int64_t d = rng.integer(0, 3); d > 0; --d) spec.shape.push_back(static_cast<uint64_t>(rng.integer(0, 5)));
        specs.push_back(std::move(spec));
    }
    return specs;
}

}  // namespace

TEST_CASE("write, read, write again: the same bytes, for any tensors in any order of writing") {
    const test::TempFolder folder;
    for (uint64_t seed = 0; seed < 40; ++seed) {
        test::Rng rng(seed);
        const std::vector<TensorSpec> specs = randomSpecs(rng);
        const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"note", "\"quoted\" \xC3\xA9"}};
        SafetensorsWriter writer(folder / "a.safetensors", specs, seed % 2 == 0 ? metadata : decltype(metadata){});
        for (size_t i = specs.size(); i > 0; --i) {
            std::vector<uint8_t> bytes(specs[i - 1].sizeBytes());
            for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
            writer.write(specs[i - 1].name, std::span<const uint8_t>(bytes));
        }
        writer.finish();

        const SafetensorsFile file(folder / "a.safetensors");
        REQUIRE(file.tensors().size() == specs.size());
        for (const TensorSpec& spec : specs) {
            const TensorView& view = file.at(spec.name);
            CHECK(view.dtype == spec.dtype);
            CHECK(view.shape == spec.shape);
            const auto address = reinterpret_cast<uintptr_t>(view.bytes.data());
            if (!view.bytes.empty()) CHECK(address % dtypeBytes(spec.dtype) == 0);
        }
        std::vector<TensorSpec> again;
        for (const TensorView& view : file.tensors()) again.push_back({std::string(view.name), view.dtype, view.shape});
        SafetensorsWriter second(folder / "b.safetensors", again, file.metadata());
        for (const TensorView& view : file.tensors()) second.write(view.name, view.bytes);
        second.finish();
        CHECK(test::readFile(folder / "a.safetensors") == test::readFile(folder / "b.safetensors"));
    }
}

TEST_CASE("the golden bytes of a small file") {
    const test::TempFolder folder;
    SafetensorsWriter writer(folder / "model.safetensors", {{"b", DType::U8, {3}}, {"a", DType::F32, {1}}});
    const float one = 1;
    const uint8_t bytes[3] = {1, 2, 3};
    writer.write("b", std::span<const uint8_t>(bytes));
    writer.write("a", std::span<const float>(&one, 1));
    writer.finish();
    std::string header = R"({"a":{"data_offsets":[0,4],"dtype":"F32","shape":[1]},)"
                         R"("b":{"data_offsets":[4,7],"dtype":"U8","shape":[3]}})";
    header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');
    CHECK(test::readFile(folder / "model.safetensors") ==
          test::safetensorsBytes(header, std::string("\0\0\x80\x3F\x01\x02\x03", 7)));
}

TEST_CASE("a writer that is given up leaves nothing, and what was there stays") {
    const test::TempFolder folder;
    const auto path = folder / "model.safetensors";
    test::writeFile(path, "old");
    {
        SafetensorsWriter writer(path, {{"a", DType::U8, {4}}});
        CHECK_THROWS_AS(writer.finish(), Error);
        CHECK(std::filesystem::exists(folder / "model.safetensors.partial"));
    }
    CHECK(test::readFile(path) == "old");
    CHECK_FALSE(std::filesystem::exists(folder / "model.safetensors.partial"));
}

TEST_CASE("the writer refuses its caller's mistakes") {
    const test::TempFolder folder;
    const auto path = folder / "m.safetensors";
    const auto make = [&](std::vector<TensorSpec> specs) { SafetensorsWriter writer(path, std::move(specs)); };
    CHECK_THROWS_AS(make({{"a", DType::U8, {1}}, {"a", DType::U8, {1}}}), Error);
    CHECK_THROWS_AS(make({{"", DType::U8, {1}}}), Error);
    CHECK_THROWS_AS(make({{"__metadata__", DType::U8, {1}}}), Error);
    CHECK_THROWS_AS(make({{std::string(513, 'x'), DType::U8, {1}}}), Error);
    CHECK_THROWS_AS(make({{"\xFF", DType::U8, {1}}}), Error);
    CHECK_THROWS_AS(make({{"a", DType::U8, {1, 1, 1, 1, 1, 1, 1, 1, 1}}}), Error);
    CHECK_THROWS_AS(make({{"a", DType::F64, {1ull << 62}}}), Error);
    SafetensorsWriter writer(path, {{"a", DType::U8, {2}}});
    const uint8_t bytes[3] = {};
    CHECK_THROWS_AS(writer.write("b", std::span<const uint8_t>(bytes, 2)), Error);
    CHECK_THROWS_AS(writer.write("a", std::span<const uint8_t>(bytes, 3)), Error);
    writer.write("a", std::span<const uint8_t>(bytes, 2));
    CHECK_THROWS_AS(writer.write("a", std::span<const uint8_t>(bytes, 2)), Error);
}

TEST_CASE("floats of every stored kind, unaligned, whole and by parts") {
    const test::TempFolder folder;
    const std::vector<float> values = {0, -1.5f, 3, 65504, 0x1p-14f};
    std::string data = "!";  // puts all that follows at odd addresses
    for (const float value : values) data.append(reinterpret_cast<const char*>(&value), 4);
    for (const float value : values) {
        const uint16_t half = floatToHalf(value);
        data.append(reinterpret_cast<const char*>(&half), 2);
    }
    const float nan = std::numeric_limits<float>::quiet_NaN();
    data.append(reinterpret_cast<const char*>(&nan), 4);
    test::writeFile(folder / "m.safetensors",
                    test::safetensorsBytes(R"({"pad":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                        "f":{"dtype":"F32","shape":[5],"data_offsets":[1,21]},
                        "h":{"dtype":"F16","shape":[1,5],"data_offsets":[21,31]},
                        "n":{"dtype":"F32","shape":[],"data_offsets":[31,35]}})",
                                           data));
    const SafetensorsFile file(folder / "m.safetensors");
    CHECK(toFloat(file.at("f")) == values);
    CHECK(toFloat(file.at("h")) == values);
    std::vector<float> part(2);
    toFloat(file.at("h"), 3, part);
    CHECK(part == std::vector<float>{65504, 0x1p-14f});
    CHECK(file.at("n").elements() == 1);
    CHECK_NOTHROW(requireFinite(file.at("f")));
    CHECK_THROWS_AS(requireFinite(file.at("n")), Error);
    CHECK_THROWS_AS(toFloat(file.at("pad")), Error);
    CHECK_THROWS_AS(toInt32(file.at("f")), Error);
    CHECK_THROWS_AS(toHalfBits(file.at("f")), Error);
    CHECK_NOTHROW(requireShape(file.at("h"), {1, 5}));
    CHECK_THROWS_AS(requireShape(file.at("h"), {5}), Error);
    CHECK_THROWS_AS(file.at("absent"), Error);
    CHECK(file.find("absent") == nullptr);
}
