#pragma once
// Small tokenizer.json files for tests, as JSON values to be changed before use.

#include <nlohmann/json.hpp>

#include <string>

namespace vulcat::test {

/// SentencePiece BPE: byte tokens 0..255, then U+2581, a..e, "ab", U+2581 "ab", "abc".
inline nlohmann::json sentencePieceJson() {
    const std::string space = "\xE2\x96\x81";
    nlohmann::json vocabulary;
    const char* hex = "0123456789ABCDEF";
    int id = 0;
    for (; id < 256; ++id) vocabulary[std::string("<0x") + hex[id / 16] + hex[id % 16] + ">"] = id;
    for (const std::string& token : {space, std::string("a"), std::string("b"), std::string("c"), std::string("d"),
                                     std::string("e"), std::string("ab"), space + "ab", std::string("abc")}) {
        vocabulary[token] = id++;
    }
    return {{"added_tokens", {{{"id", 300}, {"content", "<s>"}, {"special", true}}}},
            {"normalizer",
             {{"type", "Sequence"},
              {"normalizers",
               {{{"type", "Prepend"}, {"prepend", space}},
                {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}}}}}},
            {"pre_tokenizer", nullptr},
            {"post_processor", nullptr},
            {"decoder",
             {{"type", "Sequence"},
              {"decoders",
               {{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
                {{"type", "ByteFallback"}},
                {{"type", "Fuse"}},
                {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
            {"model",
             {{"type", "BPE"},
              {"byte_fallback", true},
              {"fuse_unk", true},
              {"vocab", vocabulary},
              {"merges", {"a b", space + " ab", "ab c"}}}}};
}

/// Byte-level BPE: the 256 byte characters in the order of the bytes, then "he", "ll", "hell", and GPT-2's space "G" +
/// "he".
inline nlohmann::json byteLevelJson() {
    nlohmann::json vocabulary;
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
        const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        const int c = printable ? byte : next++;
        std::string name;
        if (c < 0x80) {
            name += static_cast<char>(c);
        } else {
            name += static_cast<char>(0xC0 | c >> 6);
            name += static_cast<char>(0x80 | (c & 0x3F));
        }
        vocabulary[name] = byte;
    }
    const std::string space = "\xC4\xA0";
    vocabulary["he"] = 256;
    vocabulary["ll"] = 257;
    vocabulary["hell"] = 258;
    vocabulary[space + "he"] = 259;
    return {{"added_tokens", {{{"id", 260}, {"content", "<|end|>"}, {"special", true}}}},
            {"normalizer", nullptr},
            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
            {"post_processor", {{"type", "ByteLevel"}}},
            {"decoder", {{"type", "ByteLevel"}}},
            {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"h e", "l l", "he ll", space + " he"}}}}};
}

}  // namespace vulcat::test
