#include "text/bpe.h"
#include "text/streaming_decoder.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

#include "support/rng.h"
#include "support/tokenizer_json.h"

#include <doctest/doctest.h>

#include <limits>

using namespace vulcat;
using text::Tokenizer;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {

// Merging by definition: again and again the pair of lowest rank, leftmost first.
Ids mergedByDefinition(const text::MergeTable& table, Ids ids) {
    for (;;) {
        size_t best = ids.size();
        int32_t bestRank = std::numeric_limits<int32_t>::max();
        for (size_t i = 0; i + 1 < ids.size(); ++i) {
            const text::Merge* merge = table.find(ids[i], ids[i + 1]);
            if (merge != nullptr && merge->rank < bestRank) best = i, bestRank = merge->rank;
        }
        if (best == ids.size()) return ids;
        ids[best] = table.find(ids[best], ids[best + 1])->id;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
}

std::string streamed(const Tokenizer& tokenizer, const Ids& ids) {
    text::StreamingDecoder decoder(tokenizer);
    std::string all;
    for (const int32_t id : ids) {
        const std::string part = decoder.feed(id);
        CHECK(text::repairedUtf8(part) == part);
        all += part;
    }
    return all + decoder.finish();
}

}  // namespace

TEST_CASE("fast merging equals merging by definition") {
    test::Rng rng(14);
    for (int trial = 0; trial < 300; ++trial) {
        const auto letters = static_cast<int32_t>(rng.integer(1, 4));
        const auto count = static_cast<size_t>(rng.integer(1, 30));
        text::MergeTable table(count);
        int32_t next = letters;
        for (size_t rank = 0; rank < count; ++rank) {
            const auto left = static_cast<int32_t>(rng.integer(0, next - 1));
            const auto right = static_cast<int32_t>(rng.integer(0, next - 1));
            table.set(left, right, {static_cast<int32_t>(rank), next++});
        }
        text::Merger merger(table);
        for (int word = 0; word < 10; ++word) {
            Ids ids(static_cast<size_t>(rng.integer(0, 60)));
            for (int32_t& id : ids) id = static_cast<int32_t>(rng.integer(0, letters - 1));
            const Ids expected = mergedByDefinition(table, ids);
            merger.run(ids);
            REQUIRE(ids == expected);
        }
    }
}

TEST_CASE("SentencePiece: dummy prefix, merges, byte fallback, decoding") {
    const Tokenizer tokenizer(test::sentencePieceJson().dump(), R"({"bos_token":"<s>","add_bos_token":true})");
    CHECK(tokenizer.bosId() == 300);
    CHECK(tokenizer.addsBos());
    CHECK(tokenizer.vocabSize() == 301);
    CHECK(tokenizer.encode("ab", true) == Ids{300, 263});
    CHECK(tokenizer.encode("ab", false) == Ids{263});
    CHECK(tokenizer.encode("abc abc", false) == Ids{263, 259, 263, 259});
    CHECK(tokenizer.encode("  ab", false) == Ids{256, 256, 263});
    CHECK(tokenizer.encode("", true) == Ids{300});
    CHECK(tokenizer.encode("x\xC3\xA9", false) == Ids{256, 'x', 0xC3, 0xA9});
    CHECK(tokenizer.encode("<s>ab", false) == Ids{300, 263});
    CHECK(tokenizer.decode(Ids{300, 263, 256, 0xC3, 0xA9, 300}) == "ab \xC3\xA9");
    CHECK(tokenizer.decode(Ids{0xC3, 'a', 0xA9, -5, 400, 270}) ==
          "\xEF\xBF\xBD"
          "a\xEF\xBF\xBD");
    CHECK(streamed(tokenizer, {263, 0xF0, 0x9F, 0xA6, 0x99, 263}) == "ab\xF0\x9F\xA6\x99 ab");
    text::StreamingDecoder continued(tokenizer, false);
    CHECK(continued.feed(263) == " ab");
    CHECK(continued.feed(0xF0).empty());
    CHECK(continued.finish() == "\xEF\xBF\xBD");
    CHECK(continued.finish().empty());
}

TEST_CASE("byte-level: GPT-2's words, merges inside words only, special tokens first") {
    const Tokenizer tokenizer(test::byteLevelJson().dump(), R"({"eos_token":{"content":"<|end|>"}})");
    CHECK(tokenizer.eosId() == 260);
    CHECK_FALSE(tokenizer.bosId());
    CHECK_FALSE(tokenizer.addsBos());
    CHECK(tokenizer.encode("hello", true) == Ids{258, 'o'});
    CHECK(tokenizer.encode(" hello", false) == Ids{' ', 258, 'o'});
    CHECK(tokenizer.encode("he her", false) == Ids{256, 259, 'r'});
    CHECK(tokenizer.encode("he<|end|>he", false) == Ids{256, 260, 256});
    CHECK(tokenizer.encode("\xFF", false) == Ids{0xEF, 0xBF, 0xBD});
    CHECK(tokenizer.decode(Ids{259, 260, 'y', 0xE2}) == " hey\xEF\xBF\xBD");
    CHECK(tokenizer.idOf("<|end|>") == 260);
    CHECK_FALSE(tokenizer.idOf("nothing"));
}

TEST_CASE("BOS by the template, and tokenizer_config has the last word") {
    Json json = test::sentencePieceJson();
    json["post_processor"] = Json::parse(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
        {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
         "pair":[],"special_tokens":{}}]})");
    CHECK(Tokenizer(json.dump(), "").addsBos());
    CHECK(Tokenizer(json.dump(), "").bosId() == 300);
    CHECK_FALSE(Tokenizer(json.dump(), R"({"add_bos_token":false})").addsBos());
    json["post_processor"]["processors"][1]["single"].erase(0);
    CHECK_FALSE(Tokenizer(json.dump(), "").addsBos());
}

TEST_CASE("Llama 3's pre-tokeniser: a stated pattern, no merges for whole words") {
    Json json = test::byteLevelJson();
    json["model"]["ignore_merges"] = true;
    json["model"]["vocab"]["hello"] = 261;  // reachable as a whole word only
    json["pre_tokenizer"] = Json::parse(R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
        "behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})");
    const Tokenizer tokenizer(json.dump(), "");
    CHECK(tokenizer.encode("hello hello", false) == Ids{261, ' ', 258, 'o'});
    CHECK(tokenizer.encode("hell", false) == Ids{258});
    CHECK(tokenizer.encode("1234", false) == Ids{'1', '2', '3', '4'});
}

TEST_CASE("Metaspace, Digits and prefix spaces as pre-tokenisers") {
    Json json = test::sentencePieceJson();
    json["normalizer"] = nullptr;
    json["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", "\xE2\x96\x81"}, {"prepend_scheme", "first"}, {"split", false}};
    json["decoder"] = {{"type", "Metaspace"}};
    const Tokenizer first(json.dump(), "");
    CHECK(first.encode("ab ab", false) == Ids{263, 263});
    CHECK(first.encode("<s>ab", false) == Ids{300, 262});
    CHECK(first.decode(Ids{263, 263}) == "ab ab");
    json["pre_tokenizer"]["prepend_scheme"] = "always";
    CHECK(Tokenizer(json.dump(), "").encode("<s>ab", false) == Ids{300, 263});
    json["pre_tokenizer"]["prepend_scheme"] = "never";
    CHECK(Tokenizer(json.dump(), "").encode("ab", false) == Ids{262});

    Json bytes = test::byteLevelJson();
    bytes["pre_tokenizer"]["add_prefix_space"] = true;
    CHECK(Tokenizer(bytes.dump(), "").encode("he", false) == Ids{259});
    bytes = test::byteLevelJson();
    bytes["model"]["vocab"]["12"] = 261;
    bytes["model"]["merges"].push_back("1 2");
    CHECK(Tokenizer(bytes.dump(), "").encode("12", false) == Ids{261});
    bytes["pre_tokenizer"] =
        Json::parse(R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},
        {"type":"ByteLevel","add_prefix_space":false,"use_regex":true}]})");
    CHECK(Tokenizer(bytes.dump(), "").encode("12", false) == Ids{'1', '2'});
}

TEST_CASE("added tokens: longest of those that begin together, white space taken where they say so") {
    Json json = test::byteLevelJson();
    json["added_tokens"] =
        Json::parse(R"([{"id":300,"content":"<a>","special":true},{"id":301,"content":"<a><b>","special":true},
        {"id":302,"content":"<r>","special":true,"rstrip":true},{"id":303,"content":"<l>","special":false,"lstrip":true}])");
    const Tokenizer tokenizer(json.dump(), "");
    CHECK(tokenizer.encode("<a><b><a>", false) == Ids{301, 300});
    CHECK(tokenizer.encode("x<r> \n\xC2\xA0y", false) == Ids{'x', 302, 'y'});
    CHECK(tokenizer.encode("x \n <l> y", false) == Ids{'x', 303, ' ', 'y'});
    CHECK(tokenizer.encode("<a", false) == Ids{'<', 'a'});
    CHECK(tokenizer.decode(Ids{'x', 303, 302}) == "x<l>");
}

TEST_CASE("any bytes at all: encoding and decoding gives the repaired text, streaming the same") {
    test::Rng rng(15);
    const Tokenizer spm(test::sentencePieceJson().dump(), "");
    const Tokenizer bytes(test::byteLevelJson().dump(), "");
    for (int trial = 0; trial < 500; ++trial) {
        std::string text;
        for (int64_t i = rng.integer(0, 40); i > 0; --i) {
            const int64_t kind = rng.integer(0, 3);
            if (kind == 0) text += static_cast<char>(rng.next());
            if (kind == 1) text += "abc h\ne"[rng.integer(0, 6)];
            if (kind == 2) text::appendUtf8(text, static_cast<char32_t>(rng.integer(0x20, 0xD7FF)));
            if (kind == 3) text += ' ';
        }
        const std::string expected = text::repairedUtf8(text);
        for (const Tokenizer* tokenizer : {&spm, &bytes}) {
            const Ids ids = tokenizer->encode(text, false);
            // SentencePiece cannot tell U+2581 from a space.
            if (tokenizer == &bytes || expected.find("\xE2\x96\x81") == std::string::npos) {
                REQUIRE(tokenizer->decode(ids) == expected);
            }
            REQUIRE(streamed(*tokenizer, ids) == tokenizer->decode(ids));
        }
        Ids random(static_cast<size_t>(rng.integer(0, 30)));
        for (int32_t& id : random) id = static_cast<int32_t>(rng.integer(-2, 320));
        REQUIRE(streamed(spm, random) == spm.decode(random));
        REQUIRE(streamed(bytes, random) == bytes.decode(random));
    }
}
