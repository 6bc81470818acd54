#pragma once
// From text to the words that are merged one by one. Private to the floor.

#include "text/pattern.h"
#include "text/tokenizer_file.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::text {

/// Immutable; const members are safe from several threads. All texts are well-formed UTF-8.
class WordCutter {
  public:
    /// `wordStart`: a character that begins a word wherever it follows another one, because no merge crosses that
    /// place; empty for none. That changes no id and keeps words short.
    WordCutter(const TokenizerFile& file, std::string wordStart);

    /// The normaliser's steps.
    std::string normalised(std::string_view text) const;
    /// Cuts normalised text; `text` may be changed first (a space in front). `atTextStart`: nothing came before it.
    /// The words point into `text`.
    std::vector<std::string_view> words(std::string& text, bool atTextStart) const;

  private:
    struct Cut {
        CutStep step;
        std::optional<Pattern> pattern;
    };

    std::vector<NormaliserStep> normaliser_;
    std::vector<Cut> cuts_;
    bool addPrefixSpace_;
    std::string wordStart_;
};

}  // namespace vulcat::text
