#pragma once
// Commands kept in host memory instead of a command buffer, to be recorded later: some at a time, or in parts.

#include "vk/hazards.h"
#include "vk/pipeline_library.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::vk {

/// What is bound to one binding of a dispatch, and how the shader uses it.
struct Binding {
    BufferView view;
    Access access = Access::Read;
    VkBufferView texel = VK_NULL_HANDLE;  ///< for BindingKind::UniformTexel; null: the recorder makes one over `view`
};

inline Binding read(const BufferView& view) {
    return {view, Access::Read, VK_NULL_HANDLE};
}
inline Binding write(const BufferView& view) {
    return {view, Access::Write, VK_NULL_HANDLE};
}
inline Binding readWrite(const BufferView& view) {
    return {view, Access::ReadWrite, VK_NULL_HANDLE};
}
inline Binding read(const TexelView& texel) {
    return {texel.view(), Access::Read, texel.handle()};
}

/// Filled by Recorder::captureInto, given back by Recorder::replay. What the commands name must outlive the list.
class CommandList {
  public:
    enum class Kind : uint8_t { Dispatch, Copy, Fill };
    struct Command {
        Kind kind = Kind::Dispatch;
        const Pipeline* pipeline = nullptr;  ///< of a dispatch
        std::span<const Binding> bindings;   ///< of a copy: from, to; of a fill: to
        std::span<const std::byte> push;
        std::array<uint32_t, 3> groups{1, 1, 1};
        uint32_t word = 0;  ///< of a fill

        uint64_t groupCount() const { return uint64_t{groups[0]} * groups[1] * groups[2]; }
        /// Bytes of the longest range it touches.
        uint64_t longestRange() const;
    };

    size_t size() const { return entries_.size(); }
    bool empty() const { return entries_.empty(); }
    void clear();
    /// Valid until the next add() or clear().
    Command operator[](size_t index) const;

    void addDispatch(const Pipeline& pipeline, std::span<const Binding> bindings, std::span<const std::byte> push,
                     std::array<uint32_t, 3> groups);
    void addCopy(const BufferView& from, const BufferView& to);
    void addFill(const BufferView& to, uint32_t word);

  private:
    struct Entry {
        Command command;  // its spans are empty; the ranges below say what they are
        size_t firstBinding = 0, bindingCount = 0;
        size_t firstPush = 0, pushBytes = 0;
    };
    Entry& add(Kind kind, std::span<const Binding> bindings, std::span<const std::byte> push);

    std::vector<Entry> entries_;
    std::vector<Binding> bindings_;
    std::vector<std::byte> push_;
};

}  // namespace vulcat::vk
