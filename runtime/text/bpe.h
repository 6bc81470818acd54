#pragma once
// Byte-pair merging of one word. Private to the floor.

#include <cstdint>
#include <optional>
#include <vector>

namespace vulcat::text {

/// What two adjacent tokens become, and when: lower ranks first.
struct Merge {
    int32_t rank = 0;
    int32_t id = 0;
};

/// A hash table from token pairs to merges; about 16 bytes an entry and no allocation per entry.
class MergeTable {
  public:
    /// Room for `count` merges.
    explicit MergeTable(size_t count = 0);
    /// Precondition: at most `count` different pairs; a pair set twice keeps the last.
    void set(int32_t left, int32_t right, Merge merge);
    /// Null when the pair does not merge.
    const Merge* find(int32_t left, int32_t right) const;

  private:
    struct Slot {
        int32_t left = -1;
        int32_t right = -1;
        Merge merge;
    };
    size_t slotOf(int32_t left, int32_t right) const;

    std::vector<Slot> slots_;
    size_t mask_ = 0;
};

/// Merges adjacent tokens, lowest rank first and leftmost among equals, until no pair merges; the result replaces
/// `ids`. O(n log n). The object is scratch memory: reuse it for word after word.
class Merger {
  public:
    explicit Merger(const MergeTable& table) : table_(&table) {}
    void run(std::vector<int32_t>& ids);

  private:
    struct Symbol {
        int32_t id = 0;
        int32_t previous = -1;
        int32_t next = -1;
    };
    struct Candidate {
        Merge merge;
        int32_t left = 0;  // position
        int32_t leftId = 0;
        int32_t rightId = 0;
    };
    static bool later(const Candidate& a, const Candidate& b);
    void consider(int32_t left);

    const MergeTable* table_;
    std::vector<Symbol> symbols_;
    std::vector<Candidate> heap_;
};

}  // namespace vulcat::text
