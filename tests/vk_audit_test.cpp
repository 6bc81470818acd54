// Every embedded module against what its vulcat_shader() line declares: a base module that quietly uses a feature would
// pass on the machine of whoever wrote it and fail on the devices the base tier exists for.

#include "vk/capabilities.h"
#include "vk/spirv.h"
#include "vk_test_shaders.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <span>
#include <string_view>

using namespace vulcat;
using vk::Capability;
using vk::CapabilitySet;

namespace {

/// The capability that an OpCapability operand belongs to, by the numbers of the SPIR-V specification.
CapabilitySet neededBy(uint32_t spirvCapability, bool& known) {
    known = true;
    switch (spirvCapability) {
        case 1:
            return {};  // Shader
        case 9:
            return {Capability::F16};  // Float16
        case 39:
            return {Capability::I8};  // Int8
        case 4433:
            return {Capability::Store16};  // StorageBuffer16BitAccess
        case 4448:
            return {Capability::Store8};  // StorageBuffer8BitAccess
        case 46:
            return {Capability::Texel};  // SampledBuffer
        case 61:                         // GroupNonUniform
        case 63:                         // GroupNonUniformArithmetic
        case 64:                         // GroupNonUniformBallot
        case 65:
            return {Capability::Subgroup};  // GroupNonUniformShuffle
        case 6018:                          // DotProductInput4x8BitPacked
        case 6019:
            return {Capability::Dot};  // DotProduct
        case 5347:
            return {Capability::Address};  // PhysicalStorageBufferAddresses
        case 5345:                     // VulkanMemoryModel
        case 6022:
            return {Capability::Coopmat};  // CooperativeMatrixKHR
        default:
            known = false;
            return {};
    }
}

/// Empty when the module keeps what it declares.
std::string complaint(const shaders::Module& module) {
    const vk::SpirvModule spirv = vk::readSpirv(module.words);
    const CapabilitySet declared = CapabilitySet::fromBits(module.needs);
    // QUADS and SCALARS promise subgroups of a size, for which SPIR-V has no capability.
    CapabilitySet used = declared & CapabilitySet{Capability::Quads, Capability::Scalars};
    for (uint32_t number : spirv.capabilities) {
        bool known = false;
        used = used | neededBy(number, known);
        if (!known) return "uses OpCapability " + std::to_string(number) + ", which belongs to no capability";
    }
    if (used != declared) return "uses " + used.toString() + " and declares " + declared.toString();
    if (!declared.empty()) return {};
    const auto storages = std::count_if(spirv.bindings.begin(), spirv.bindings.end(),
                                        [](const auto& binding) { return binding.kind == vk::BindingKind::Storage; });
    if (storages > 4) return "binds " + std::to_string(storages) + " storage buffers; the base tier has 4";
    const uint64_t threads = uint64_t{spirv.localSize[0]} * spirv.localSize[1] * spirv.localSize[2];
    if (threads > 128) return "has " + std::to_string(threads) + " threads; the base tier has 128";
    if (spirv.sharedBytes > 16384)
        return "shares " + std::to_string(spirv.sharedBytes) + " bytes; the base tier has 16384";
    if (spirv.pushBytes > 128) return "pushes " + std::to_string(spirv.pushBytes) + " bytes; 128 are guaranteed";
    return {};
}

/// Float arithmetic that a driver may fuse, or that the compiler fused itself: a multiplication whose result is added
/// or subtracted, unless one of the two is decorated. SPIR-V's numbers: OpExtInst 12, OpDecorate 71, OpFAdd 129, OpFSub
/// 131, OpFMul 133, decoration NoContraction 42, GLSL.std.450's Fma 50.
size_t fusableOperations(std::span<const uint32_t> words) {
    std::set<uint32_t> exact, products;
    size_t count = 0;
    for (size_t at = 5; at < words.size(); at += words[at] >> 16) {
        const uint32_t opcode = words[at] & 0xFFFF;
        if (opcode == 71 && words[at + 2] == 42) exact.insert(words[at + 1]);
        if (opcode == 12 && words[at + 4] == 50) ++count;
        if (opcode == 133 && !exact.contains(words[at + 2])) products.insert(words[at + 2]);
    }
    for (size_t at = 5; at < words.size(); at += words[at] >> 16) {
        const uint32_t opcode = words[at] & 0xFFFF;
        if (opcode != 129 && opcode != 131) continue;
        if (!exact.contains(words[at + 2])) ++count;
        if (products.contains(words[at + 3]) || products.contains(words[at + 4])) ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("every module of the library uses exactly what it declares") {
    for (const shaders::Module& module : shaders::modules()) {
        INFO("module " << module.name);
        CHECK(complaint(module) == "");
    }
    std::printf("audited %zu modules\n", shaders::modules().size());
}

TEST_CASE("every module of the library can be run in parts, but for those that must not") {
    // A part of a dispatch sees its own number of workgroups, so none may read it. Those with teams do: a step that is cancelled
    // between two parts would leave its teams counted.
    for (const shaders::Module& module : shaders::modules()) {
        INFO("module " << module.name);
        const bool teams = module.name == "site_tiles_address" || module.name == "site_teams";
        CHECK(vk::readSpirv(module.words).readsWorkgroupCount == teams);
    }
}

TEST_CASE("the audit notices a module that declares too little") {
    const auto modules = shaders::vkTestModules();
    const auto named = [&](std::string_view name) {
        return *std::find_if(modules.begin(), modules.end(), [&](const auto& item) { return item.name == name; });
    };
    CHECK(complaint(named("add")) == "");
    CHECK(complaint(named("texel_copy")) == "");
    CHECK(complaint(named("dot")) == "");
    CHECK(complaint(named("subgroup_sum")) == "");
    CHECK(complaint(named("undeclared")) == "uses SUBGROUP and declares BASE");
}

TEST_CASE("the SPIR-V reader sees bindings, push constants, constants, shared memory and the workgroup") {
    const auto modules = shaders::vkTestModules();
    const auto words = [&](std::string_view name) {
        return std::find_if(modules.begin(), modules.end(), [&](const auto& item) { return item.name == name; })->words;
    };
    const std::vector<uint32_t> constants = {24, 2};
    const vk::SpirvModule add = vk::readSpirv(words("add"), constants);
    CHECK(add.bindings.size() == 3);
    CHECK(add.pushBytes == 8);
    CHECK(add.specIds == std::vector<uint32_t>{0, 1});
    CHECK(add.localSize == std::array<uint32_t, 3>{24, 1, 1});
    CHECK(add.sharedBytes == 0);
    const vk::SpirvModule texel = vk::readSpirv(words("texel_copy"));
    REQUIRE(texel.bindings.size() == 2);
    CHECK(texel.bindings[0].kind == vk::BindingKind::UniformTexel);
    CHECK(texel.bindings[1].kind == vk::BindingKind::Storage);
    CHECK(vk::readSpirv(words("subgroup_sum")).sharedBytes == 128);
}

TEST_CASE("shared memory is counted whatever expression of constants sizes it") {
    const auto modules = shaders::modules();
    const auto found = std::find_if(modules.begin(), modules.end(), [](const auto& item) { return item.name == "integer_linear_dot"; });
    REQUIRE(found != modules.end());
    const auto sharedBytes = [&](std::vector<uint32_t> constants) { return vk::readSpirv(found->words, constants).sharedBytes; };
    // {invocations, rows, tiles, splits, blocks at once, groups of a round}; a share is rows * tiles * invocations / splits words.
    CHECK(sharedBytes({32, 8, 2, 1, 4, 1}) == 4);
    CHECK(sharedBytes({512, 4, 1, 16, 4, 1}) == 16 * 4 * 32 * 4);
    CHECK(sharedBytes({512, 4, 2, 16, 4, 40}) == 40 * 4 * 2 * 32 * 4);
}

TEST_CASE("SPIR-V cut at every word is refused or read, never worse") {
    const auto words = shaders::vkTestModules().front().words;
    for (size_t size = 0; size < words.size(); ++size) {
        const std::vector<uint32_t> cut(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(size));
        try {
            vk::readSpirv(cut);
        } catch (const Error&) {
        }
    }
    CHECK(true);
}

TEST_CASE("float arithmetic of the integer layers is rounded after each operation") {
    size_t seen = 0;
    for (const shaders::Module& module : shaders::modules()) {
        if (!std::string_view(module.name).starts_with("integer_linear")) continue;
        ++seen;
        INFO(module.name);
        CHECK(fusableOperations(module.words) == 0);
    }
    CHECK(seen >= 12);
}
