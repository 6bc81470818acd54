#pragma once
// The modules of tests/vk_shaders and the pipelines the tests make of them.

#include "vk/pipeline_library.h"

namespace vulcat::shaders {
std::span<const Module> vkTestModules();
}

namespace vulcat::test {

struct AddParameters {
    uint32_t count;
    uint32_t offset;
};

/// sum = factor * (a + b) + offset.
inline vk::PipelineSpec addSpec(uint32_t localSize = 32, uint32_t factor = 1) {
    return {.module = "add",
            .constants = {localSize, factor},
            .pushBytes = sizeof(AddParameters),
            .bindings = {vk::BindingKind::Storage, vk::BindingKind::Storage, vk::BindingKind::Storage}};
}

}  // namespace vulcat::test
