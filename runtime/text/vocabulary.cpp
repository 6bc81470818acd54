#include "text/vocabulary.h"

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace vulcat::text {

namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

std::string byteTokenName(unsigned byte) {
    return std::string("<0x") + kHexDigits[byte >> 4] + kHexDigits[byte & 15] + ">";
}

std::string withSpaces(std::string_view token) {
    std::string text;
    for (size_t i = 0; i < token.size();) {
        const bool isSpace = token.substr(i, kVisibleSpace.size()) == kVisibleSpace;
        text += isSpace ? ' ' : token[i];
        i += isSpace ? kVisibleSpace.size() : 1;
    }
    return text;
}

}  // namespace

Vocabulary::Vocabulary(const TokenizerFile& file)
    : byteLevel_(file.byteLevel),
      fuseUnknown_(file.fuseUnknown),
      pieces_(static_cast<size_t>(file.idLimit)),
      merges_(file.merges.size()) {
    ids_.reserve(file.vocabulary.size() + file.added.size());
    for (const auto& [token, id] : file.vocabulary) {
        ids_.emplace(token, id);
        std::string& bytes = pieces_[static_cast<size_t>(id)].bytes;
        // An entry that is not made of stand-ins is taken as it is written.
        bytes = byteLevel_ ? bytesOfToken(token).value_or(token) : withSpaces(token);
        if (byteLevel_ && file.ignoreMerges) wholeWords_.emplace(bytes, id);
        if (!byteLevel_ && file.ignoreMerges) wholeWords_.emplace(token, id);
    }
    bytes_.fill(-1);
    for (unsigned byte = 0; byte < 256 && (byteLevel_ || file.byteFallback); ++byte) {
        std::string name;
        if (byteLevel_) {
            appendUtf8(name, byteToCharacter(static_cast<uint8_t>(byte)));
        } else {
            name = byteTokenName(byte);
        }
        const auto found = ids_.find(name);
        if (found == ids_.end()) continue;
        bytes_[byte] = found->second;
        pieces_[static_cast<size_t>(found->second)].bytes = std::string(1, static_cast<char>(byte));
    }
    addMerges(file);
    if (file.unknownToken) unknown_ = idOf(*file.unknownToken);
    for (const AddedToken& token : file.added) {
        ids_.insert_or_assign(token.content, token.id);
        pieces_[static_cast<size_t>(token.id)] = {byteLevel_ ? token.content : withSpaces(token.content),
                                                  token.special};
    }
    if (file.unknownToken && !unknown_) unknown_ = idOf(*file.unknownToken);
}

void Vocabulary::addMerges(const TokenizerFile& file) {
    visibleSpaceBeginsWords_ = !byteLevel_ && idOf(kVisibleSpace).has_value() && !file.ignoreMerges;
    for (size_t rank = 0; rank < file.merges.size(); ++rank) {
        const auto& [left, right] = file.merges[rank];
        const std::optional<int32_t> leftId = idOf(left);
        const std::optional<int32_t> rightId = idOf(right);
        const std::optional<int32_t> joined = idOf(left + right);
        if (!leftId || !rightId || !joined) {
            throw Error(Result::InvalidFile, "tokenizer.json: merge " + std::to_string(rank) +
                                                 " names a token that is not in the vocabulary");
        }
        merges_.set(*leftId, *rightId, {static_cast<int32_t>(rank), *joined});
        if (right.starts_with(kVisibleSpace) && !left.ends_with(kVisibleSpace)) visibleSpaceBeginsWords_ = false;
    }
}

void Vocabulary::appendUnknown(std::vector<int32_t>& tokens) const {
    if (!unknown_) return;
    if (fuseUnknown_ && !tokens.empty() && tokens.back() == *unknown_) return;
    tokens.push_back(*unknown_);
}

void Vocabulary::byteTokens(std::string_view word, std::vector<int32_t>& tokens) const {
    for (const char c : word) {
        const int32_t id = bytes_[static_cast<uint8_t>(c)];
        if (id >= 0) {
            tokens.push_back(id);
        } else {
            appendUnknown(tokens);
        }
    }
}

void Vocabulary::characterTokens(std::string_view word, std::vector<int32_t>& tokens) const {
    while (!word.empty()) {
        const std::string_view character = word.substr(0, firstCharacter(word).length);
        word.remove_prefix(character.size());
        if (const auto found = ids_.find(character); found != ids_.end()) {
            tokens.push_back(found->second);
            continue;
        }
        bool hasBytes = true;
        for (const char c : character) hasBytes = hasBytes && bytes_[static_cast<uint8_t>(c)] >= 0;
        if (hasBytes) {
            for (const char c : character) tokens.push_back(bytes_[static_cast<uint8_t>(c)]);
        } else {
            appendUnknown(tokens);
        }
    }
}

void Vocabulary::encodeWord(std::string_view word, Merger& merger, std::vector<int32_t>& scratch,
                            std::vector<int32_t>& ids) const {
    if (const auto whole = wholeWords_.find(word); whole != wholeWords_.end()) {
        ids.push_back(whole->second);
        return;
    }
    scratch.clear();
    if (byteLevel_) {
        byteTokens(word, scratch);
    } else {
        characterTokens(word, scratch);
    }
    merger.run(scratch);
    ids.insert(ids.end(), scratch.begin(), scratch.end());
}

std::optional<int32_t> Vocabulary::idOf(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::string_view Vocabulary::pieceBytes(int32_t id, bool keepSpecial) const {
    if (id < 0 || id >= size()) return {};
    const Piece& piece = pieces_[static_cast<size_t>(id)];
    return piece.special && !keepSpecial ? std::string_view() : std::string_view(piece.bytes);
}

}  // namespace vulcat::text
