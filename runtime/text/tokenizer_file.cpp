#include "text/tokenizer_file.h"

#include "base/error.h"
#include "format/json_fields.h"
#include "format/json_tree.h"
#include "text/tokenizer_steps.h"

#include <algorithm>

namespace vulcat::text {

namespace {

using format::JsonFields;
using Json = nlohmann::json;

constexpr size_t kMaxTokenBytes = 4096;
constexpr size_t kMaxAddedBytes = 512;
constexpr size_t kMaxAdded = 100'000;

void readVocabulary(const JsonFields& model, TokenizerFile& file) {
    const JsonFields fields = model.object("vocab");
    const Json& vocabulary = model.at("vocab");
    if (vocabulary.empty()) model.fail("vocab", "is empty");
    // Ids may have gaps, but not so that a small file asks for a large table.
    const int64_t limit = static_cast<int64_t>(vocabulary.size()) * 2 + 1024;
    std::vector<bool> used(static_cast<size_t>(limit), false);
    for (const auto& item : vocabulary.items()) {
        if (item.key().size() > kMaxTokenBytes) model.fail("vocab", "has an entry of more than 4096 bytes");
        const auto id = static_cast<int32_t>(fields.integer(item.key(), 0, limit - 1));
        if (used[static_cast<size_t>(id)])
            model.fail("vocab", "gives the id " + std::to_string(id) + " to two entries");
        used[static_cast<size_t>(id)] = true;
        file.vocabulary.emplace_back(item.key(), id);
        file.idLimit = std::max(file.idLimit, id + 1);
    }
}

// A merge is "left right" or, in newer files, ["left", "right"].
void readMerges(const JsonFields& model, TokenizerFile& file) {
    for (const Json& merge : model.array("merges")) {
        std::pair<std::string, std::string> parts;
        if (merge.is_string()) {
            const auto& text = merge.get_ref<const std::string&>();
            const size_t space = text.find(' ');
            if (space == std::string::npos) model.fail("merges", "has an entry without a space");
            parts = {text.substr(0, space), text.substr(space + 1)};
        } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
            parts = {merge[0].get<std::string>(), merge[1].get<std::string>()};
        } else {
            model.fail("merges", "has an entry that is not a pair of tokens");
        }
        if (parts.first.empty() || parts.second.empty()) model.fail("merges", "has an entry with an empty part");
        file.merges.push_back(std::move(parts));
    }
}

void readModel(const JsonFields& root, TokenizerFile& file) {
    const JsonFields model = root.object("model");
    // Old files leave the type out; only BPE has merges.
    const std::string type = model.text("type", model.find("merges") != nullptr ? "BPE" : "unknown");
    if (type != "BPE") {
        throw Error(Result::Unsupported,
                    model.where() + ": model type \"" + type.substr(0, 40) + "\" is not read, only BPE");
    }
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (!model.text(affix, "").empty()) {
            throw Error(Result::Unsupported, model.where() + ": " + affix + " is not supported");
        }
    }
    if (model.number("dropout", 0, 1, 0) != 0) {
        throw Error(Result::Unsupported, model.where() + ": dropout makes ids random; set it to null");
    }
    file.byteFallback = model.boolean("byte_fallback", false);
    file.fuseUnknown = model.boolean("fuse_unk", false);
    file.ignoreMerges = model.boolean("ignore_merges", false);
    if (model.find("unk_token") != nullptr) file.unknownToken = model.text("unk_token");
    readVocabulary(model, file);
    readMerges(model, file);
}

void readAddedTokens(const JsonFields& root, TokenizerFile& file) {
    if (root.find("added_tokens") == nullptr) return;
    const Json& tokens = root.array("added_tokens");
    if (tokens.size() > kMaxAdded) root.fail("added_tokens", "lists more than 100000 tokens");
    const int64_t limit = static_cast<int64_t>(file.vocabulary.size() + tokens.size()) * 2 + 1024;
    for (const Json& entry : tokens) {
        const JsonFields fields(entry, root.where() + ": added_tokens");
        AddedToken token;
        token.id = static_cast<int32_t>(fields.integer("id", 0, limit - 1));
        token.content = fields.text("content");
        token.leftStrip = fields.boolean("lstrip", false);
        token.rightStrip = fields.boolean("rstrip", false);
        token.special = fields.boolean("special", false);
        token.normalized = fields.boolean("normalized", !token.special);
        if (token.content.empty() || token.content.size() > kMaxAddedBytes) {
            fields.fail("content", "must have 1 to 512 bytes");
        }
        if (fields.boolean("single_word", false)) {
            throw Error(Result::Unsupported, fields.where() + ": \"single_word\" is not supported");
        }
        file.idLimit = std::max(file.idLimit, token.id + 1);
        file.added.push_back(std::move(token));
    }
}

// bos_token is a string or an object like an added token.
std::optional<std::string> tokenName(const JsonFields& config, const char* name) {
    const Json* value = config.find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_object()) return config.object(name).text("content");
    return config.text(name);
}

void readConfig(const std::string& json, TokenizerFile& file) {
    const Json root = format::parseJson(json, "tokenizer_config.json");
    const JsonFields config(root, "tokenizer_config.json");
    if (auto name = tokenName(config, "bos_token")) file.bosToken = std::move(name);
    file.eosToken = tokenName(config, "eos_token");
    file.addsBos = config.boolean("add_bos_token", file.addsBos);
}

}  // namespace

TokenizerFile parseTokenizerFile(const std::string& tokenizerJson, const std::string& configJson) {
    const Json json = format::parseJson(tokenizerJson, "tokenizer.json");
    const JsonFields root(json, "tokenizer.json");
    TokenizerFile file;
    readModel(root, file);
    readAddedTokens(root, file);
    readSteps(root, file);
    if (!configJson.empty()) readConfig(configJson, file);
    return file;
}

}  // namespace vulcat::text
