// Ids that others computed: llama.cpp's tokenisation fixtures and the stories260K reference.

#include "text/streaming_decoder.h"
#include "text/tokenizer.h"

#include "support/shared_data.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

using namespace vulcat;
using text::Tokenizer;

namespace {

struct Fixture {
    std::string text;
    std::vector<int32_t> ids;
};

// Texts separated by a line "__ggml_vocab_test__"; ids one line a text.
std::vector<Fixture> readFixtures(const std::filesystem::path& folder, const std::string& name) {
    const std::string texts = test::readFile(folder / (name + ".inp"));
    std::istringstream idLines(test::readFile(folder / (name + ".out")));
    const std::string separator = "\n__ggml_vocab_test__\n";
    std::vector<Fixture> fixtures;
    for (size_t begin = 0; begin < texts.size();) {
        const size_t end = std::min(texts.find(separator, begin), texts.size());
        Fixture fixture{texts.substr(begin, end - begin), {}};
        std::string line;
        std::getline(idLines, line);
        std::istringstream ids(line);
        for (int32_t id = 0; ids >> id;) fixture.ids.push_back(id);
        fixtures.push_back(std::move(fixture));
        begin = end + separator.size();
    }
    return fixtures;
}

void checkFixtures(const Tokenizer& tokenizer, const std::vector<Fixture>& fixtures) {
    CHECK(fixtures.size() >= 46);
    for (const Fixture& fixture : fixtures) {
        CAPTURE(fixture.text);
        CHECK(tokenizer.encode(fixture.text, false) == fixture.ids);
        CHECK(tokenizer.decode(fixture.ids) == fixture.text);
        text::StreamingDecoder stream(tokenizer);
        std::string streamed;
        for (const int32_t id : fixture.ids) streamed += stream.feed(id);
        CHECK(streamed + stream.finish() == fixture.text);
    }
}

// phi-2 extends GPT-2's vocabulary by runs of spaces and tabs; without those it is GPT-2's tokenizer.
Tokenizer gpt2FromPhi2(const std::filesystem::path& folder) {
    nlohmann::json json = nlohmann::json::parse(test::readFile(folder / "tokenizer.json"));
    nlohmann::json kept = nlohmann::json::array();
    for (const auto& token : json["added_tokens"]) {
        if (token["special"].get<bool>()) kept.push_back(token);
    }
    json["added_tokens"] = kept;
    return Tokenizer(json.dump(), test::readFile(folder / "tokenizer_config.json"));
}

}  // namespace

TEST_CASE("GPT-2's fixtures: byte-level BPE of phi-2 without its added runs of spaces") {
    VULCAT_SHARED_OR_SKIP(folder, "tokenizers");
    checkFixtures(gpt2FromPhi2(folder / "phi-2"), readFixtures(folder / "fixtures", "gpt-2"));
}

TEST_CASE("phi-2 as it is: runs of spaces and tabs are tokens of their own, all else is GPT-2") {
    VULCAT_SHARED_OR_SKIP(folder, "tokenizers");
    const Tokenizer tokenizer(folder / "phi-2");
    for (const Fixture& fixture : readFixtures(folder / "fixtures", "gpt-2")) {
        const bool hasRun =
            fixture.text.find("  ") != std::string::npos || fixture.text.find("\t\t") != std::string::npos;
        CAPTURE(fixture.text);
        if (!hasRun) CHECK(tokenizer.encode(fixture.text, false) == fixture.ids);
        CHECK(tokenizer.decode(tokenizer.encode(fixture.text, false)) == fixture.text);
    }
    CHECK(tokenizer.encode("  ", false) == std::vector<int32_t>{50286});
    CHECK(tokenizer.encode("a   b", false) == std::vector<int32_t>{64, 50285, 65});
    CHECK(tokenizer.encode("\t\t\tx", false) == std::vector<int32_t>{50293, 87});
    CHECK(tokenizer.encode("x<|endoftext|>y", false) == std::vector<int32_t>{87, 50256, 88});
    CHECK(tokenizer.vocabSize() == 50295);
    CHECK_FALSE(tokenizer.addsBos());
    CHECK(tokenizer.eosId() == 50256);
}

TEST_CASE("SentencePiece fixtures: phi-3-mini") {
    VULCAT_SHARED_OR_SKIP(folder, "tokenizers");
    const Tokenizer tokenizer(folder / "phi-3-mini");
    checkFixtures(tokenizer, readFixtures(folder / "fixtures", "phi-3"));
    checkFixtures(tokenizer, readFixtures(folder / "fixtures", "llama-spm"));
    CHECK(tokenizer.bosId() == 1);
    CHECK(tokenizer.eosId() == 32000);
    CHECK_FALSE(tokenizer.addsBos());
    // <|end|> takes the white space after it; each text between added tokens gets its own space in front.
    CHECK(tokenizer.encode("<|user|>\nHello<|end|>\n<|assistant|>", false) ==
          std::vector<int32_t>{32010, 15043, 32007, 32001});
    CHECK(tokenizer.decode(std::vector<int32_t>{32010, 15043, 32007}) == "Hello");
    CHECK(tokenizer.pieceBytes(32010).empty());
    CHECK(tokenizer.pieceBytes(32010, true) == "<|user|>");
}

TEST_CASE("stories260K: the reference's ids") {
    VULCAT_SHARED_OR_SKIP(data, "models");
    const Tokenizer tokenizer(data / "stories260K");
    const auto reference = nlohmann::json::parse(test::readFile(data.parent_path() / "ref" / "stories260K.json"));
    CHECK(tokenizer.addsBos());
    CHECK(tokenizer.bosId() == 1);
    CHECK(tokenizer.eosId() == 2);
    CHECK(tokenizer.vocabSize() == 512);
    CHECK(tokenizer.encode(reference["prompt"].get<std::string>(), true) ==
          reference["prompt_ids"].get<std::vector<int32_t>>());
}

TEST_CASE("stories260K: the ids of all 64 evaluation stories") {
    VULCAT_SHARED_OR_SKIP(data, "ref/stories260K.eval64.ids.i32");
    const std::filesystem::path root = data.parent_path().parent_path();
    const Tokenizer tokenizer(root / "models" / "stories260K");
    const std::string bytes = test::readFile(data);
    std::vector<int32_t> reference(bytes.size() / 4);
    std::memcpy(reference.data(), bytes.data(), reference.size() * 4);

    const std::string sample = test::readFile(root / "text" / "tinystories_sample_2MiB.txt");
    const std::string separator = "<|endoftext|>";
    std::vector<std::string> stories;
    for (size_t begin = 0, end = 0; (end = sample.find(separator, begin)) != std::string::npos;
         begin = end + separator.size()) {
        std::string story = sample.substr(begin, end - begin);
        story.erase(0, story.find_first_not_of("\r\n"));
        story.erase(story.find_last_not_of("\r\n") + 1);
        stories.push_back(std::move(story));
    }
    REQUIRE(stories.size() == 2316);
    const auto json = nlohmann::json::parse(test::readFile(root / "ref" / "stories260K.json"));
    const auto firstIds = json["first_story_ids"].get<std::vector<int32_t>>();
    std::vector<int32_t> first = tokenizer.encode(stories[stories.size() - 64], true);
    first.resize(std::min(first.size(), firstIds.size()));
    CHECK(first == firstIds);

    size_t place = 0;
    for (size_t i = stories.size() - 64; i < stories.size(); ++i) {
        const auto count = static_cast<size_t>(reference.at(place++));
        std::vector<int32_t> ids = tokenizer.encode(stories[i], true);
        ids.resize(std::min<size_t>(ids.size(), 512));
        const auto from = reference.begin() + static_cast<std::ptrdiff_t>(place);
        CHECK(ids == std::vector<int32_t>(from, from + static_cast<std::ptrdiff_t>(count)));
        place += count;
    }
    CHECK(place == reference.size());
}

TEST_CASE("2 MiB of text: time is printed, the round trip is exact") {
    VULCAT_SHARED_OR_SKIP(data, "text/tinystories_sample_2MiB.txt");
    const std::string sample = test::readFile(data);
    for (const char* folder : {"models/stories260K", "tokenizers/phi-2", "tokenizers/phi-3-mini"}) {
        const Tokenizer tokenizer(data.parent_path().parent_path() / folder);
        const std::clock_t start = std::clock();
        const std::vector<int32_t> ids = tokenizer.encode(sample, false);
        const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        std::printf("%s: %zu tokens in %.3f s of processor time\n", folder, ids.size(), seconds);
        std::string expected = sample;
        if (tokenizer.idOf("<|endoftext|>")) {
            for (size_t at = 0; (at = expected.find("<|endoftext|>")) != std::string::npos;) expected.erase(at, 13);
        }
        // SentencePiece puts a space in front of each text between special tokens, so only its length without them is
        // known.
        if (!tokenizer.stripsLeadingSpace()) CHECK(tokenizer.decode(ids) == expected);
    }
}
