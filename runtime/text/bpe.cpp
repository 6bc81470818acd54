#include "text/bpe.h"

#include <algorithm>
#include <bit>

namespace vulcat::text {

namespace {

uint64_t hashPair(int32_t left, int32_t right) {
    uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    key *= 0x9E3779B97F4A7C15u;
    key ^= key >> 32;
    key *= 0xD6E8FEB86659FD93u;
    return key ^ key >> 32;
}

}  // namespace

MergeTable::MergeTable(size_t count) : slots_(std::bit_ceil(count * 2 + 1)), mask_(slots_.size() - 1) {}

size_t MergeTable::slotOf(int32_t left, int32_t right) const {
    size_t slot = hashPair(left, right) & mask_;
    while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right)) {
        slot = (slot + 1) & mask_;
    }
    return slot;
}

void MergeTable::set(int32_t left, int32_t right, Merge merge) {
    slots_[slotOf(left, right)] = {left, right, merge};
}

const Merge* MergeTable::find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[slotOf(left, right)];
    return slot.left < 0 ? nullptr : &slot.merge;
}

// The heap keeps its greatest entry in front, so the order is turned around.
bool Merger::later(const Candidate& a, const Candidate& b) {
    return a.merge.rank != b.merge.rank ? a.merge.rank > b.merge.rank : a.left > b.left;
}

// Puts the pair that begins at `left` on the heap, if there is one and it merges.
void Merger::consider(int32_t left) {
    if (left < 0) return;
    const Symbol& symbol = symbols_[static_cast<size_t>(left)];
    if (symbol.next < 0) return;
    const int32_t rightId = symbols_[static_cast<size_t>(symbol.next)].id;
    const Merge* merge = table_->find(symbol.id, rightId);
    if (merge == nullptr) return;
    heap_.push_back({*merge, left, symbol.id, rightId});
    std::push_heap(heap_.begin(), heap_.end(), later);
}

void Merger::run(std::vector<int32_t>& ids) {
    if (ids.size() < 2) return;
    const auto count = static_cast<int32_t>(ids.size());
    symbols_.resize(ids.size());
    for (int32_t i = 0; i < count; ++i) {
        symbols_[static_cast<size_t>(i)] = {ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1};
    }
    heap_.clear();
    for (int32_t i = 0; i < count; ++i) consider(i);
    while (!heap_.empty()) {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const Candidate best = heap_.back();
        heap_.pop_back();
        Symbol& left = symbols_[static_cast<size_t>(best.left)];
        // An entry is stale when one of its two tokens has merged since; a merged-away symbol has id -1.
        if (left.id != best.leftId || left.next < 0) continue;
        Symbol& right = symbols_[static_cast<size_t>(left.next)];
        if (right.id != best.rightId) continue;
        left.id = best.merge.id;
        left.next = right.next;
        right.id = -1;
        if (left.next >= 0) symbols_[static_cast<size_t>(left.next)].previous = best.left;
        consider(left.previous);
        consider(best.left);
    }
    ids.clear();
    for (int32_t i = 0; i >= 0; i = symbols_[static_cast<size_t>(i)].next) {
        ids.push_back(symbols_[static_cast<size_t>(i)].id);
    }
}

}  // namespace vulcat::text
