#include "text/tokenizer.h"

#include "format/mapped_file.h"
#include "text/added_tokens.h"
#include "text/tokenizer_file.h"
#include "text/utf8.h"
#include "text/vocabulary.h"
#include "text/word_cutter.h"

#include <unordered_map>
#include <utility>

namespace vulcat::text {

namespace {

constexpr size_t kMaxFileBytes = 100'000'000;

std::string readIfPresent(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored) ? format::readTextFile(path, kMaxFileBytes) : std::string();
}

std::vector<AddedToken> chosen(const TokenizerFile& file, bool normalized) {
    std::vector<AddedToken> tokens;
    for (const AddedToken& token : file.added) {
        if (token.normalized == normalized) tokens.push_back(token);
    }
    return tokens;
}

// Encodes words, each different one once: texts repeat their words.
class WordEncoder {
  public:
    explicit WordEncoder(const Vocabulary& vocabulary) : vocabulary_(vocabulary), merger_(vocabulary.merges()) {}

    // The words must stay where they are until forget().
    void encode(const std::vector<std::string_view>& words, std::vector<int32_t>& ids) {
        for (const std::string_view word : words) {
            const auto [known, isNew] = places_.try_emplace(word);
            if (isNew) {
                known->second.begin = ids.size();
                vocabulary_.encodeWord(word, merger_, scratch_, ids);
                known->second.count = ids.size() - known->second.begin;
            } else {
                const auto [begin, count] = known->second;
                for (size_t i = 0; i < count; ++i) ids.push_back(ids[begin + i]);
            }
        }
    }
    void forget() { places_.clear(); }

  private:
    struct Place {
        size_t begin = 0;
        size_t count = 0;
    };
    const Vocabulary& vocabulary_;
    Merger merger_;
    std::vector<int32_t> scratch_;
    std::unordered_map<std::string_view, Place> places_;
};

}  // namespace

struct Tokenizer::State {
    explicit State(const TokenizerFile& file)
        : vocabulary(file),
          cutter(file, std::string(vocabulary.visibleSpaceBeginsWords() ? kVisibleSpace : std::string_view())),
          rawTokens(chosen(file, false)),
          addsBos(file.addsBos),
          stripsLeadingSpace(file.stripsLeadingSpace) {
        std::vector<AddedToken> tokens = chosen(file, true);
        for (AddedToken& token : tokens) token.content = cutter.normalised(token.content);
        normalizedTokens = AddedTokenMatcher(tokens);
        if (file.bosToken) bos = vocabulary.idOf(*file.bosToken);
        if (file.eosToken) eos = vocabulary.idOf(*file.eosToken);
    }

    Vocabulary vocabulary;
    WordCutter cutter;
    AddedTokenMatcher rawTokens;
    AddedTokenMatcher normalizedTokens;
    std::optional<int32_t> bos;
    std::optional<int32_t> eos;
    bool addsBos;
    bool stripsLeadingSpace;
};

Tokenizer::Tokenizer(const std::filesystem::path& folder)
    : Tokenizer(format::readTextFile(folder / "tokenizer.json", kMaxFileBytes),
                readIfPresent(folder / "tokenizer_config.json")) {}

Tokenizer::Tokenizer(const std::string& tokenizerJson, const std::string& configJson)
    : state_(std::make_unique<const State>(parseTokenizerFile(tokenizerJson, configJson))) {}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool addBos) const {
    std::vector<int32_t> ids;
    if (addBos && state_->bos) ids.push_back(*state_->bos);
    const std::string clean = repairedUtf8(text);
    WordEncoder encoder(state_->vocabulary);
    bool atTextStart = true;
    for (const Segment& segment : state_->rawTokens.split(clean)) {
        if (segment.id >= 0) {
            ids.push_back(segment.id);
            atTextStart = false;
            continue;
        }
        const std::string normalised = state_->cutter.normalised(segment.text);
        for (const Segment& part : state_->normalizedTokens.split(normalised)) {
            if (part.id >= 0) {
                ids.push_back(part.id);
            } else {
                std::string words(part.text);
                encoder.encode(state_->cutter.words(words, atTextStart), ids);
                encoder.forget();
            }
            atTextStart = false;
        }
    }
    return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
    std::string bytes;
    for (const int32_t id : ids) bytes += pieceBytes(id);
    if (state_->stripsLeadingSpace && bytes.starts_with(' ')) bytes.erase(0, 1);
    return repairedUtf8(bytes);
}

std::string_view Tokenizer::pieceBytes(int32_t id, bool keepSpecial) const {
    return state_->vocabulary.pieceBytes(id, keepSpecial);
}

std::optional<int32_t> Tokenizer::idOf(std::string_view token) const {
    return state_->vocabulary.idOf(token);
}

int32_t Tokenizer::vocabSize() const {
    return state_->vocabulary.size();
}

std::optional<int32_t> Tokenizer::bosId() const {
    return state_->bos;
}

std::optional<int32_t> Tokenizer::eosId() const {
    return state_->eos;
}

bool Tokenizer::addsBos() const {
    return state_->addsBos;
}

bool Tokenizer::stripsLeadingSpace() const {
    return state_->stripsLeadingSpace;
}

}  // namespace vulcat::text
