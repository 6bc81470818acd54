// Tokenizer files that lie: each ends in an Error or in a tokenizer that works.

#include "text/tokenizer.h"

#include "base/error.h"
#include "support/rng.h"
#include "support/temp_folder.h"
#include "support/tokenizer_json.h"

#include <doctest/doctest.h>

#include <string>

using namespace vulcat;
using text::Tokenizer;
using Json = nlohmann::json;

namespace {

// True when the file is accepted; then it must encode and decode without harm.
bool loads(const std::string& json, const std::string& config = "") {
    try {
        const Tokenizer tokenizer(json, config);
        const std::string sample = "hello ab abc <s> 12 \xC3\xA9\xF0\x9F\xA6\x99 <0x41>";
        const std::vector<int32_t> ids = tokenizer.encode(sample, true);
        for (const int32_t id : ids) CHECK(id >= 0);
        tokenizer.decode(ids);
        return true;
    } catch (const Error& error) {
        CHECK((error.code() == Result::InvalidFile || error.code() == Result::Unsupported));
        return false;
    }
}

bool loads(const Json& json) {
    return loads(json.dump());
}

Json withModel(const char* field, const Json& value) {
    Json json = test::sentencePieceJson();
    json["model"][field] = value;
    return json;
}

Json changedAt(const char* pointer, const Json& value) {
    Json json = test::sentencePieceJson();
    json[Json::json_pointer(pointer)] = value;
    return json;
}

}  // namespace

TEST_CASE("cut short at any byte, the file is refused") {
    Json json = test::sentencePieceJson();
    // The byte tokens only make the file long.
    for (int id = 8; id < 250; ++id) json["model"]["vocab"].erase(json["model"]["vocab"].begin());
    const std::string whole = json.dump();
    for (size_t length = 0; length < whole.size(); ++length) CHECK_FALSE(loads(whole.substr(0, length)));
}

TEST_CASE("random damage never gets past an Error") {
    test::Rng rng(16);
    for (const std::string& whole : {test::sentencePieceJson().dump(), test::byteLevelJson().dump()}) {
        for (int trial = 0; trial < 400; ++trial) {
            std::string bytes = whole;
            for (int64_t i = rng.integer(1, 4); i > 0; --i) {
                const auto at = static_cast<size_t>(rng.integer(0, static_cast<int64_t>(bytes.size()) - 1));
                bytes[at] = rng.integer(0, 1) == 0 ? static_cast<char>(bytes[at] ^ 1 << rng.integer(0, 7))
                                                   : "0123456789-{}[]\",:"[rng.integer(0, 17)];
            }
            loads(bytes);
        }
    }
}

TEST_CASE("ids out of all reason, twice given, or of the wrong type") {
    for (const Json& id : {Json(-1), Json(100000), Json(2147483647), Json(2147483648u), Json(~0ull), Json(1.5),
                           Json("7"), Json(nullptr), Json::array()}) {
        CHECK_FALSE(loads(changedAt("/model/vocab/a", id)));
        CHECK_FALSE(loads(changedAt("/added_tokens/0/id", id)));
    }
    CHECK_FALSE(loads(changedAt("/model/vocab/a", 258)));
    CHECK_FALSE(loads(withModel("vocab", Json::object())));
    CHECK_FALSE(loads(withModel("vocab", Json::array())));
    std::string twice = test::sentencePieceJson().dump();
    twice.replace(twice.find("\"a\":257"), 7, "\"b\":257");
    CHECK_FALSE(loads(twice));
}

TEST_CASE("merges of tokens that are not there, or that are no pairs") {
    for (const Json& merges : {Json({"a x"}), Json({"a e"}), Json({"ab"}), Json({" a"}), Json({"a "}), Json({7}),
                               Json::array({Json::array({"a"})}), Json::array({Json::array({"a", "b", "c"})}),
                               Json::array({Json::array({"a", 1})}), Json("a b"), Json(nullptr), Json::object()}) {
        CAPTURE(merges);
        CHECK_FALSE(loads(withModel("merges", merges)));
    }
    CHECK(loads(withModel("merges", Json::array())));
    CHECK(loads(withModel("merges", Json::array({Json::array({"a", "b"})}))));
}

TEST_CASE("what would change ids and is not done is refused by name, not ignored") {
    CHECK_FALSE(loads(withModel("type", "Unigram")));
    CHECK_FALSE(loads(withModel("type", "WordPiece")));
    CHECK_FALSE(loads(withModel("dropout", 0.1)));
    CHECK_FALSE(loads(withModel("continuing_subword_prefix", "##")));
    CHECK_FALSE(loads(withModel("end_of_word_suffix", "</w>")));
    CHECK_FALSE(loads(changedAt("/added_tokens/0/single_word", true)));
    CHECK_FALSE(loads(changedAt("/normalizer", {{"type", "NFC"}})));
    CHECK_FALSE(loads(changedAt("/pre_tokenizer", {{"type", "Whitespace"}})));
    CHECK_FALSE(loads(changedAt("/decoder", {{"type", "WordPiece"}})));
    CHECK_FALSE(loads(changedAt("/decoder", {{"type", "ByteLevel"}})));
    CHECK_FALSE(loads(changedAt("/post_processor", {{"type", "BertProcessing"}})));
}

TEST_CASE("byte tokens with impossible names are ordinary tokens") {
    Json json = test::sentencePieceJson();
    json["model"]["vocab"]["<0x-1>"] = 270;
    json["model"]["vocab"]["<0xGG>"] = 271;
    json["model"]["vocab"]["<0x1>"] = 272;
    const Tokenizer tokenizer(json.dump(), "");
    CHECK(tokenizer.decode(std::vector<int32_t>{270, 271, 272}) == "<0x-1><0xGG><0x1>");
}

TEST_CASE("an unknown character without fallback gives one unknown token, or none") {
    Json json = test::sentencePieceJson();
    json["model"]["byte_fallback"] = false;
    CHECK(Tokenizer(json.dump(), "").encode("axxa", false) == std::vector<int32_t>{256, 257, 257});
    json["model"]["unk_token"] = "<s>";
    CHECK(Tokenizer(json.dump(), "").encode("axxa", false) == std::vector<int32_t>{256, 257, 300, 257});
    json["model"]["fuse_unk"] = false;
    CHECK(Tokenizer(json.dump(), "").encode("axxa", false) == std::vector<int32_t>{256, 257, 300, 300, 257});
}

TEST_CASE("a normaliser that multiplies texts is stopped") {
    Json json = test::sentencePieceJson();
    Json steps = Json::array();
    for (int i = 0; i < 60; ++i) {
        steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaaaaaaaaaaaaaa"}});
    }
    json["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
    CHECK_THROWS_AS(Tokenizer(json.dump(), "").encode("aaaaaaaaaaaaaaaaaaaaaaaaa", false), Error);
}

TEST_CASE("patterns that do not compile, and one that would search for ever") {
    Json json = test::byteLevelJson();
    const auto withPattern = [&](const std::string& pattern) {
        json["pre_tokenizer"] = {{"type", "Sequence"},
                                 {"pretokenizers",
                                  {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
                                   {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
        return json.dump();
    };
    for (const char* bad : {"(", "[", "\\p{Nonsense}", "*", "(?<n>a)(?<n>b)"}) CHECK_FALSE(loads(withPattern(bad)));
    CHECK_FALSE(loads(withPattern(std::string(70'000, 'a'))));
    CHECK_FALSE(loads(withPattern(std::string(5'000, '('))));
    const Tokenizer slow(withPattern("(a+)+$"), "");
    CHECK_THROWS_AS(slow.encode(std::string(64, 'a') + "b", false), Error);
    // Matches without length, and a match that claims to begin before the last one ended, cut nothing.
    for (const char* odd : {"", "(?=a)", "x*", "(?<=a)\\Kb|a", "\\b"}) {
        const Tokenizer tokenizer(withPattern(odd), "");
        CHECK(tokenizer.decode(tokenizer.encode("abcab \xC3\xA9x", false)) == "abcab \xC3\xA9x");
    }
}

TEST_CASE("long inputs of one character take no quadratic time") {
    const Tokenizer spm(test::sentencePieceJson().dump(), "");
    const Tokenizer bytes(test::byteLevelJson().dump(), "");
    for (const char* unit : {" ", "a", "ab", "l", "h\n", "<", "\xF0"}) {
        std::string text;
        while (text.size() < 300'000) text += unit;
        CHECK_FALSE(spm.encode(text, false).empty());
        CHECK_FALSE(bytes.encode(text, false).empty());
    }
}

TEST_CASE("tokenizer_config that is not one") {
    const std::string json = test::sentencePieceJson().dump();
    for (const char* config :
         {"[]", "{", "7", R"({"bos_token":7})", R"({"add_bos_token":"yes"})", R"({"eos_token":{}})"}) {
        CHECK_FALSE(loads(json, config));
    }
    CHECK(loads(json, R"({"bos_token":null,"eos_token":"not there"})"));
    const test::TempFolder folder;
    CHECK_THROWS_AS(Tokenizer(folder.path()), Error);
}
