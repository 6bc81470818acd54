#include "vk/command_list.h"

#include <algorithm>

namespace vulcat::vk {

uint64_t CommandList::Command::longestRange() const {
    uint64_t longest = 0;
    for (const Binding& binding : bindings) longest = std::max<uint64_t>(longest, binding.view.size);
    return longest;
}

void CommandList::clear() {
    entries_.clear();
    bindings_.clear();
    push_.clear();
}

CommandList::Command CommandList::operator[](size_t index) const {
    const Entry& entry = entries_[index];
    Command command = entry.command;
    command.bindings = std::span(bindings_).subspan(entry.firstBinding, entry.bindingCount);
    command.push = std::span(push_).subspan(entry.firstPush, entry.pushBytes);
    return command;
}

CommandList::Entry& CommandList::add(Kind kind, std::span<const Binding> bindings, std::span<const std::byte> push) {
    Entry& entry = entries_.emplace_back();
    entry.command.kind = kind;
    entry.firstBinding = bindings_.size();
    entry.bindingCount = bindings.size();
    entry.firstPush = push_.size();
    entry.pushBytes = push.size();
    bindings_.insert(bindings_.end(), bindings.begin(), bindings.end());
    push_.insert(push_.end(), push.begin(), push.end());
    return entry;
}

void CommandList::addDispatch(const Pipeline& pipeline, std::span<const Binding> bindings,
                              std::span<const std::byte> push, std::array<uint32_t, 3> groups) {
    Entry& entry = add(Kind::Dispatch, bindings, push);
    entry.command.pipeline = &pipeline;
    entry.command.groups = groups;
}

void CommandList::addCopy(const BufferView& from, const BufferView& to) {
    const Binding bindings[] = {read(from), write(to)};
    add(Kind::Copy, bindings, {});
}

void CommandList::addFill(const BufferView& to, uint32_t word) {
    const Binding bindings[] = {write(to)};
    add(Kind::Fill, bindings, {}).command.word = word;
}

}  // namespace vulcat::vk
