#pragma once
// Tokens that are found in the text itself, before any other step. Private to the floor.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vulcat::text {

struct AddedToken {
    int32_t id = 0;
    std::string content;
    bool leftStrip = false;   ///< takes the white space before it
    bool rightStrip = false;  ///< takes the white space after it
    bool normalized = false;  ///< is looked for after the normaliser
    bool special = false;     ///< gives no text when decoded
};

/// A piece of the text: an added token's id, or text between them (id -1).
struct Segment {
    int32_t id = -1;
    std::string_view text;
};

/// Finds added tokens: leftmost first, the longest among those that begin at one place. O(n * longest token).
class AddedTokenMatcher {
  public:
    /// A token without content is never found; of two with one content the last is.
    explicit AddedTokenMatcher(const std::vector<AddedToken>& tokens = {});

    /// Cuts the text; pieces of text are not empty.
    std::vector<Segment> split(std::string_view text) const;

  private:
    struct Found {
        size_t length = 0;
        const AddedToken* token = nullptr;
    };
    Found longestAt(std::string_view text, size_t begin) const;

    std::vector<AddedToken> tokens_;
    std::unordered_map<uint64_t, uint32_t> edges_;  // trie: node << 8 | byte -> node; node 0 is the root
    std::vector<int32_t> ends_;                     // token index by node, or -1
    std::vector<bool> firstBytes_;
};

}  // namespace vulcat::text
