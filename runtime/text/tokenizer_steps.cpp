#include "text/tokenizer_steps.h"

#include "base/error.h"

#include <vector>

namespace vulcat::text {

namespace {

using format::JsonFields;

constexpr size_t kMaxListedSteps = 64;
constexpr size_t kMaxReplacementBytes = 16;

// GPT-2's pattern, which a ByteLevel step means by use_regex.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void unsupported(const JsonFields& fields, const std::string& what) {
    throw Error(Result::Unsupported, fields.where() + ": " + what.substr(0, 200) + " is not supported");
}

// The steps of an object that is one step, or a Sequence of steps under `list`; none when the object is absent.
std::vector<JsonFields> stepsOf(const JsonFields& root, const char* name, const char* list) {
    std::vector<JsonFields> steps;
    if (root.find(name) == nullptr) return steps;
    const JsonFields object = root.object(name);
    if (object.text("type") != "Sequence") return {object};
    const nlohmann::json& array = object.array(list);
    if (array.size() > kMaxListedSteps) object.fail(list, "lists more than 64 steps");
    for (const nlohmann::json& step : array) steps.emplace_back(step, object.where());
    return steps;
}

// "pattern" is {"String": ...} or {"Regex": ...}.
std::string literalPattern(const JsonFields& step) {
    const JsonFields pattern = step.object("pattern");
    if (pattern.find("String") == nullptr) unsupported(step, "a Replace by regular expression");
    if (pattern.text("String").empty()) pattern.fail("String", "is empty");
    return pattern.text("String");
}

std::string quoted(const std::string& literal) {
    std::string pattern;
    for (const char c : literal) {
        if (static_cast<unsigned char>(c) < 0x80 && !isalnum(static_cast<unsigned char>(c))) pattern += '\\';
        pattern += c;
    }
    return pattern;
}

void readNormaliser(const JsonFields& root, TokenizerFile& file) {
    for (const JsonFields& step : stepsOf(root, "normalizer", "normalizers")) {
        const std::string& type = step.text("type");
        NormaliserStep normaliser;
        if (type == "Prepend") {
            normaliser.prepend = step.text("prepend");
            if (normaliser.prepend.size() > kMaxReplacementBytes) step.fail("prepend", "is longer than 16 bytes");
            if (normaliser.prepend.empty()) continue;
        } else if (type == "Replace") {
            normaliser.replace = {literalPattern(step), step.text("content")};
            if (normaliser.replace->to.size() > kMaxReplacementBytes) step.fail("content", "is longer than 16 bytes");
        } else {
            unsupported(step, "the normaliser \"" + type + "\"");
        }
        file.normaliser.push_back(std::move(normaliser));
    }
}

CutStep readSplit(const JsonFields& step) {
    CutStep cut;
    const JsonFields pattern = step.object("pattern");
    cut.pattern = pattern.find("Regex") != nullptr ? pattern.text("Regex") : quoted(literalPattern(step));
    const std::string behaviour = step.text("behavior");
    const bool invert = step.boolean("invert", false);
    // With "invert" the pattern describes the words and what lies between is removed or kept; kept both ways is the
    // same.
    if (behaviour == "Removed" && invert) unsupported(step, "a Split that removes what does not match");
    if (behaviour != "Isolated" && behaviour != "Removed")
        unsupported(step, "the split behaviour \"" + behaviour + "\"");
    cut.keepMatches = behaviour == "Isolated";
    return cut;
}

CutStep readMetaspace(const JsonFields& step) {
    CutStep cut;
    cut.kind = CutStep::Kind::Metaspace;
    cut.metaspace.replacement = step.text("replacement", "\xE2\x96\x81");
    if (cut.metaspace.replacement.empty() || cut.metaspace.replacement.size() > 4) {
        step.fail("replacement", "must be one character");
    }
    cut.metaspace.split = step.boolean("split", true);
    const bool prefix = step.boolean("add_prefix_space", true);
    const std::string scheme = step.text("prepend_scheme", prefix ? "always" : "never");
    if (scheme != "always" && scheme != "first" && scheme != "never") {
        step.fail("prepend_scheme", "must be always, first or never");
    }
    cut.metaspace.prepend = scheme == "always"  ? Metaspace::Prepend::Always
                            : scheme == "first" ? Metaspace::Prepend::First
                                                : Metaspace::Prepend::Never;
    return cut;
}

void readCuts(const JsonFields& root, TokenizerFile& file) {
    bool isFirst = true;
    for (const JsonFields& step : stepsOf(root, "pre_tokenizer", "pretokenizers")) {
        const std::string& type = step.text("type");
        if (file.byteLevel) unsupported(step, "a pre-tokeniser after ByteLevel");
        if (type == "ByteLevel") {
            file.byteLevel = true;
            file.addPrefixSpace = step.boolean("add_prefix_space", true);
            if (file.addPrefixSpace && !isFirst) unsupported(step, "add_prefix_space after another pre-tokeniser");
            if (step.boolean("use_regex", true)) {
                CutStep cut;
                cut.pattern = kByteLevelPattern;
                file.cuts.push_back(std::move(cut));
            }
        } else if (type == "Split") {
            file.cuts.push_back(readSplit(step));
        } else if (type == "Digits") {
            CutStep cut;
            cut.pattern = step.boolean("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)";
            file.cuts.push_back(std::move(cut));
        } else if (type == "Metaspace") {
            if (!isFirst) unsupported(step, "Metaspace after another pre-tokeniser");
            file.cuts.push_back(readMetaspace(step));
            file.stripsLeadingSpace = file.cuts.back().metaspace.prepend != Metaspace::Prepend::Never;
        } else {
            unsupported(step, "the pre-tokeniser \"" + type + "\"");
        }
        isFirst = false;
    }
}

void readDecoder(const JsonFields& root, TokenizerFile& file) {
    for (const JsonFields& step : stepsOf(root, "decoder", "decoders")) {
        const std::string& type = step.text("type");
        if ((type == "ByteLevel") != file.byteLevel) {
            unsupported(step, "the decoder \"" + type + "\" with this pre-tokeniser");
        }
        if (type == "Replace") {
            const bool isSpace = literalPattern(step) == "\xE2\x96\x81" && step.text("content") == " ";
            if (!isSpace) unsupported(step, "a Replace other than of U+2581 by a space");
        } else if (type == "Strip") {
            const int64_t start = step.integer("start", 0, 1, 0);
            if (step.text("content") != " " || step.integer("stop", 0, 0, 0) != 0) unsupported(step, "this Strip");
            file.stripsLeadingSpace = start == 1;
        } else if (type != "ByteLevel" && type != "ByteFallback" && type != "Fuse" && type != "Metaspace") {
            unsupported(step, "the decoder \"" + type + "\"");
        }
    }
}

// A TemplateProcessing whose template begins with a special token puts BOS in front; other post-processors do not.
void readPostProcessor(const JsonFields& root, TokenizerFile& file) {
    for (const JsonFields& step : stepsOf(root, "post_processor", "processors")) {
        const std::string& type = step.text("type");
        if (type == "ByteLevel") continue;
        if (type != "TemplateProcessing") unsupported(step, "the post-processor \"" + type + "\"");
        const nlohmann::json& single = step.array("single");
        if (single.empty()) continue;
        const JsonFields first(single.front(), step.where());
        if (first.find("SpecialToken") == nullptr) continue;
        file.bosToken = first.object("SpecialToken").text("id");
        file.addsBos = true;
    }
}

}  // namespace

void readSteps(const JsonFields& root, TokenizerFile& file) {
    readNormaliser(root, file);
    readCuts(root, file);
    readDecoder(root, file);
    readPostProcessor(root, file);
}

}  // namespace vulcat::text
