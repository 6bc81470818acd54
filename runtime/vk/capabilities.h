#pragma once
// What a device can do beyond the base tier, as a set of bits. Sets, not a ladder: a kernel variant names the bits it
// needs, and a caller may take bits away. The base tier is the empty set.

#include "shaders/table.h"

#include <cstdint>
#include <initializer_list>
#include <string>

namespace vulcat::vk {

enum class Capability : uint32_t {
    Store16 = shaders::kNeedsStore16,    ///< 16-bit storage buffers
    F16 = shaders::kNeedsF16,            ///< 16-bit float arithmetic
    Store8 = shaders::kNeedsStore8,      ///< 8-bit storage buffers
    I8 = shaders::kNeedsI8,              ///< 8-bit integer arithmetic
    Dot = shaders::kNeedsDot,            ///< integer dot product, packed 4x8 signed
    Subgroup = shaders::kNeedsSubgroup,  ///< basic, arithmetic, shuffle, ballot in compute; subgroup size known
    Texel = shaders::kNeedsTexel,        ///< RGBA32UI uniform texel buffers of at least 2^24 elements (256 MiB)
    Coopmat = shaders::kNeedsCoopmat,    ///< KHR cooperative matrix with an s8 x s8 -> s32 subgroup shape
    Quads = shaders::kNeedsQuads,        ///< subgroups of exactly four: kernels that do without shifts
    Address = shaders::kNeedsAddress,    ///< buffer device addresses, with subgroups of at least eight
    Scalars = shaders::kNeedsScalars,    ///< full subgroups of a known size; recommended where what they share is kept as scalars
};

class CapabilitySet {
  public:
    constexpr CapabilitySet() = default;  ///< the base tier
    constexpr CapabilitySet(std::initializer_list<Capability> bits) {
        for (Capability bit : bits) bits_ |= static_cast<uint32_t>(bit);
    }
    static constexpr CapabilitySet fromBits(uint32_t bits) {
        CapabilitySet set;
        set.bits_ = bits & kAllBits;
        return set;
    }
    static constexpr CapabilitySet all() { return fromBits(kAllBits); }

    constexpr bool contains(Capability bit) const { return (bits_ & static_cast<uint32_t>(bit)) != 0; }
    constexpr bool contains(CapabilitySet other) const { return (other.bits_ & ~bits_) == 0; }
    constexpr bool empty() const { return bits_ == 0; }
    constexpr uint32_t bits() const { return bits_; }

    constexpr CapabilitySet operator|(CapabilitySet other) const { return fromBits(bits_ | other.bits_); }
    constexpr CapabilitySet operator&(CapabilitySet other) const { return fromBits(bits_ & other.bits_); }
    constexpr CapabilitySet operator-(CapabilitySet other) const { return fromBits(bits_ & ~other.bits_); }
    constexpr bool operator==(const CapabilitySet&) const = default;

    /// "BASE" for the empty set, else the bits' names, for example "DOT SUBGROUP TEXEL".
    std::string toString() const;

  private:
    static constexpr uint32_t kAllBits = 0x7ff;
    uint32_t bits_ = 0;
};

}  // namespace vulcat::vk
