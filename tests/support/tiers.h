#pragma once
// The capability sets with which a test walks the variants of a float kernel, narrowed to what the device has.

#include "vk/capabilities.h"

#include <doctest/doctest.h>

#include <vector>

namespace vulcat::test {

/// BASE, SUBGROUP, SUBGROUP with TEXEL; says which the device cannot run.
inline std::vector<vk::CapabilitySet> tiers(vk::CapabilitySet device) {
    std::vector<vk::CapabilitySet> sets{{}};
    for (const vk::CapabilitySet set : {vk::CapabilitySet{vk::Capability::Subgroup},
                                        vk::CapabilitySet{vk::Capability::Subgroup, vk::Capability::Texel}}) {
        if (device.contains(set)) {
            sets.push_back(set);
        } else {
            MESSAGE("SKIPPED: this device cannot run variants with ", set.toString());
        }
    }
    return sets;
}

/// The same and, for kernels that have such variants, all of them with ADDRESS.
inline std::vector<vk::CapabilitySet> wordTiers(vk::CapabilitySet device) {
    std::vector<vk::CapabilitySet> sets = tiers(device);
    constexpr vk::CapabilitySet kWords{vk::Capability::Subgroup, vk::Capability::Texel, vk::Capability::Address};
    if (device.contains(kWords)) {
        sets.push_back(kWords);
    } else {
        MESSAGE("SKIPPED: this device cannot run variants with ", kWords.toString());
    }
    return sets;
}

}  // namespace vulcat::test
