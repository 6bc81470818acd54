#include "vk/capabilities.h"

#include <array>
#include <utility>

namespace vulcat::vk {

std::string CapabilitySet::toString() const {
    static constexpr std::array<std::pair<Capability, const char*>, 11> kNames = {{
        {Capability::Store16, "STORE16"},
        {Capability::F16, "F16"},
        {Capability::Store8, "STORE8"},
        {Capability::I8, "I8"},
        {Capability::Dot, "DOT"},
        {Capability::Subgroup, "SUBGROUP"},
        {Capability::Texel, "TEXEL"},
        {Capability::Coopmat, "COOPMAT"},
        {Capability::Quads, "QUADS"},
        {Capability::Address, "ADDRESS"},
        {Capability::Scalars, "SCALARS"},
    }};
    std::string text;
    for (const auto& [bit, name] : kNames) {
        if (!contains(bit)) continue;
        if (!text.empty()) text += ' ';
        text += name;
    }
    return text.empty() ? "BASE" : text;
}

}  // namespace vulcat::vk
