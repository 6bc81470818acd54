#pragma once
// Reads from SPIR-V what a pipeline must agree with: two hundred lines instead of a reflection library.

#include "base/error.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::vk {

/// What a binding of a shader is, and what is bound there.
enum class BindingKind : uint8_t {
    Storage,       ///< storage buffer
    UniformTexel,  ///< usamplerBuffer over RGBA32UI
};

/// A compute module as its words state it.
struct SpirvModule {
    struct Binding {
        uint32_t binding = 0;
        BindingKind kind = BindingKind::Storage;
    };
    std::vector<uint32_t> capabilities;  ///< operands of OpCapability
    std::vector<Binding> bindings;       ///< of descriptor set 0, sorted by binding
    std::vector<uint32_t> specIds;       ///< SpecIds of specialisation constants, sorted
    uint32_t pushBytes = 0;              ///< size of the push-constant block
    uint32_t sharedBytes = 0;            ///< of workgroup variables
    std::array<uint32_t, 3> localSize{1, 1, 1};
    bool readsWorkgroupCount = false;  ///< has a variable NumWorkgroups: a part of a dispatch would see another number
};

/// Sizes hold for `constants`: constants[i] replaces the default of specialisation constant i, missing ones keep it.
/// Throws Error(InvalidArgument) for words that are not a SPIR-V compute module of this kind, and Error(Unsupported)
/// for a descriptor set other than 0 or a descriptor that is neither of BindingKind.
SpirvModule readSpirv(std::span<const uint32_t> words, std::span<const uint32_t> constants = {});

}  // namespace vulcat::vk
