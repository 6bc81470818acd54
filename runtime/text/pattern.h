#pragma once
// A regular expression from a tokenizer file, run by PCRE2 in Unicode mode. Private to the floor.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::text {

/// Immutable; const members are safe from several threads.
class Pattern {
  public:
    /// Errors: InvalidFile with PCRE2's message when the expression does not compile or exceeds 64 KiB.
    explicit Pattern(const std::string& expression);
    ~Pattern();
    Pattern(Pattern&&) noexcept;
    Pattern& operator=(Pattern&&) noexcept;

    /// Cuts the text into matches and what lies between them, appended in order; no piece is empty. With `keepMatches`
    /// false only what lies between remains. Each match may take a bounded number of steps.
    /// Precondition: well-formed UTF-8. Errors: InvalidFile when a match passes the bound.
    void split(std::string_view text, bool keepMatches, std::vector<std::string_view>& pieces) const;

  private:
    struct Code;
    std::unique_ptr<const Code> code_;
};

}  // namespace vulcat::text
