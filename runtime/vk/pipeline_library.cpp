#include "vk/pipeline_library.h"

#include "vk/check.h"
#include "vk/descriptor_sets.h"
#include "vk/pipeline_cache.h"

#include <algorithm>
#include <cstring>

namespace vulcat::vk {
namespace {

[[noreturn]] void reject(Result code, const PipelineSpec& spec, const std::string& what) {
    throw Error(code, "shader module " + std::string(spec.module) + ": " + what);
}

/// Everything that decides a pipeline, as bytes.
std::string keyOf(const PipelineSpec& spec) {
    std::string key(spec.module);
    key += '\0';
    const auto append = [&key](uint32_t word) { key.append(reinterpret_cast<const char*>(&word), sizeof word); };
    append(spec.requiredSubgroupSize);
    append(spec.pushBytes);
    append(static_cast<uint32_t>(spec.bindings.size()));
    for (BindingKind kind : spec.bindings) append(static_cast<uint32_t>(kind));
    for (uint32_t constant : spec.constants) append(constant);
    return key;
}

/// The spec against what the words say: the place where a wrong struct or a forgotten buffer shows itself.
void checkSpec(const PipelineSpec& spec, const SpirvModule& spirv) {
    const size_t declared = spirv.bindings.empty() ? 0 : spirv.bindings.back().binding + size_t{1};
    if (declared != spec.bindings.size()) {
        reject(Result::InvalidArgument, spec,
               "has " + std::to_string(declared) + " bindings, the spec says " + std::to_string(spec.bindings.size()));
    }
    for (const SpirvModule::Binding& binding : spirv.bindings) {
        if (binding.kind == spec.bindings[binding.binding]) continue;
        const bool texel = binding.kind == BindingKind::UniformTexel;
        reject(Result::InvalidArgument, spec,
               "binding " + std::to_string(binding.binding) + " is a " + (texel ? "uniform texel" : "storage") +
                   " buffer, the spec says otherwise");
    }
    if (spirv.pushBytes != spec.pushBytes) {
        reject(Result::InvalidArgument, spec,
               "has " + std::to_string(spirv.pushBytes) + " bytes of push constants, the spec says " +
                   std::to_string(spec.pushBytes));
    }
    if (!spirv.specIds.empty() && spirv.specIds.back() >= spec.constants.size()) {
        reject(Result::InvalidArgument, spec,
               "has a specialisation constant " + std::to_string(spirv.specIds.back()) + ", the spec gives " +
                   std::to_string(spec.constants.size()));
    }
}

void checkDevice(const PipelineSpec& spec, const SpirvModule& spirv, CapabilitySet needs, const Device& device) {
    const Limits& limits = device.limits();
    if (!device.enabled().contains(needs)) {
        reject(Result::Unsupported, spec,
               "needs " + (needs - device.enabled()).toString() + ", which " + device.info().name +
                   " does not offer here");
    }
    uint64_t threads = 1;
    for (size_t i = 0; i < 3; ++i) {
        threads *= spirv.localSize[i];
        if (spirv.localSize[i] == 0 || spirv.localSize[i] > limits.maxWorkgroupSize[i] ||
            threads > limits.maxWorkgroupInvocations) {
            reject(Result::Unsupported, spec,
                   "workgroup dimension " + std::to_string(i) + " of " + std::to_string(spirv.localSize[i]) +
                       " is beyond the device's limits");
        }
    }
    if (spirv.sharedBytes > limits.maxSharedBytes) {
        reject(Result::Unsupported, spec,
               "uses " + std::to_string(spirv.sharedBytes) + " bytes of shared memory of " +
                   std::to_string(limits.maxSharedBytes));
    }
    if (spec.pushBytes > limits.maxPushBytes || spec.pushBytes % 4 != 0) {
        reject(Result::Unsupported, spec, std::to_string(spec.pushBytes) + " bytes of push constants are not possible");
    }
    const auto storages = std::count(spec.bindings.begin(), spec.bindings.end(), BindingKind::Storage);
    if (static_cast<uint64_t>(storages) > limits.maxStorageBuffers) {
        reject(Result::Unsupported, spec,
               "binds " + std::to_string(storages) + " storage buffers of " + std::to_string(limits.maxStorageBuffers));
    }
    const uint32_t size = spec.requiredSubgroupSize;
    if (size == 0) return;
    const bool known = device.subgroupSizeControl() ? size >= limits.minSubgroupSize && size <= limits.maxSubgroupSize
                                                    : size == limits.subgroupSize;
    if (!known || (size & (size - 1)) != 0) {
        reject(Result::Unsupported, spec,
               "subgroups of " + std::to_string(size) + " are not possible on " + device.info().name);
    }
    if (spirv.localSize[0] % size != 0) {
        reject(Result::InvalidArgument, spec,
               "a workgroup width of " + std::to_string(spirv.localSize[0]) + " has no full subgroups of " +
                   std::to_string(size));
    }
}

}  // namespace

PipelineLibrary::PipelineLibrary(Device& device, std::span<const std::byte> cacheBlob,
                                 std::span<const shaders::Module> modules)
    : device_(device), modules_(modules), modulesHash_(fnv1a({})) {
    for (const shaders::Module& item : modules_) modulesHash_ = fnv1a(std::as_bytes(item.words), modulesHash_);
    const std::span<const std::byte> payload = unwrapPipelineCache(device.info(), modulesHash_, cacheBlob);
    VkPipelineCacheCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
    info.initialDataSize = payload.size();
    info.pInitialData = payload.data();
    const DeviceDispatch& vk = device.dispatch();
    if (!payload.empty())
        cacheHit_ = vk.vkCreatePipelineCache(device.handle(), &info, device.allocator(), &cache_) == VK_SUCCESS;
    if (cacheHit_) return;
    info.initialDataSize = 0;
    info.pInitialData = nullptr;
    check(vk.vkCreatePipelineCache(device.handle(), &info, device.allocator(), &cache_), "creating a pipeline cache");
}

PipelineLibrary::~PipelineLibrary() {
    if (device_.abandoned()) return;
    for (auto& [key, pipeline] : pipelines_) destroy(*pipeline);
    device_.dispatch().vkDestroyPipelineCache(device_.handle(), cache_, device_.allocator());
}

const shaders::Module& PipelineLibrary::module(std::string_view name) const {
    const auto found =
        std::find_if(modules_.begin(), modules_.end(), [&](const auto& item) { return item.name == name; });
    if (found == modules_.end()) {
        throw Error(Result::InvalidArgument,
                    "there is no shader module " + std::string(name) + ": declare it with vulcat_shader() in shaders/");
    }
    return *found;
}

const Pipeline& PipelineLibrary::get(const PipelineSpec& spec) {
    std::string key = keyOf(spec);
    const auto found = pipelines_.find(key);
    if (found != pipelines_.end()) return *found->second;
    std::unique_ptr<Pipeline> made = create(spec, key);
    return *pipelines_.emplace(std::move(key), std::move(made)).first->second;
}

std::unique_ptr<Pipeline> PipelineLibrary::create(const PipelineSpec& spec, std::string_view key) {
    const shaders::Module& source = module(spec.module);
    const SpirvModule spirv = readSpirv(source.words, spec.constants);
    checkSpec(spec, spirv);
    checkDevice(spec, spirv, CapabilitySet::fromBits(source.needs), device_);
    auto pipeline = std::make_unique<Pipeline>();
    pipeline->module = spec.module;
    pipeline->bindings = spec.bindings;
    pipeline->pushBytes = spec.pushBytes;
    pipeline->localSize = spirv.localSize;
    pipeline->id = fnv1a(std::as_bytes(std::span<const char>(key)));
    pipeline->splittable = !spirv.readsWorkgroupCount;
    try {
        createLayout(*pipeline);
        createPipeline(*pipeline, spec, source);
    } catch (...) {
        destroy(*pipeline);
        throw;
    }
    return pipeline;
}

void PipelineLibrary::createLayout(Pipeline& pipeline) {
    const DeviceDispatch& vk = device_.dispatch();
    pipeline.setLayout = createSetLayout(device_, pipeline.bindings);
    const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, pipeline.pushBytes};
    VkPipelineLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layout.setLayoutCount = 1;
    layout.pSetLayouts = &pipeline.setLayout;
    layout.pushConstantRangeCount = pipeline.pushBytes > 0 ? 1 : 0;
    layout.pPushConstantRanges = &push;
    check(vk.vkCreatePipelineLayout(device_.handle(), &layout, device_.allocator(), &pipeline.layout),
          "creating a pipeline layout");
}

void PipelineLibrary::createPipeline(Pipeline& pipeline, const PipelineSpec& spec, const shaders::Module& source) {
    const DeviceDispatch& vk = device_.dispatch();
    std::vector<VkSpecializationMapEntry> entries(spec.constants.size());
    for (uint32_t i = 0; i < entries.size(); ++i)
        entries[i] = {i, static_cast<uint32_t>(i * sizeof(uint32_t)), sizeof(uint32_t)};
    const VkSpecializationInfo specialisation{static_cast<uint32_t>(entries.size()), entries.data(),
                                              spec.constants.size() * sizeof(uint32_t), spec.constants.data()};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{};
    subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
    subgroup.requiredSubgroupSize = spec.requiredSubgroupSize;
    VkComputePipelineCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &specialisation;
    info.layout = pipeline.layout;
    if (pipeline.splittable) info.flags |= VK_PIPELINE_CREATE_DISPATCH_BASE_BIT;
    if (spec.requiredSubgroupSize != 0 && device_.subgroupSizeControl()) {
        info.stage.pNext = &subgroup;
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
    }
    VkShaderModuleCreateInfo code{};
    code.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    code.codeSize = source.words.size_bytes();
    code.pCode = source.words.data();
    const std::string what = "creating the pipeline of shader module " + pipeline.module;
    check(vk.vkCreateShaderModule(device_.handle(), &code, device_.allocator(), &info.stage.module), what);
    const VkResult result =
        vk.vkCreateComputePipelines(device_.handle(), cache_, 1, &info, device_.allocator(), &pipeline.handle);
    vk.vkDestroyShaderModule(device_.handle(), info.stage.module, device_.allocator());
    check(result, what);
    // Drivers have returned success and no pipeline.
    if (pipeline.handle == VK_NULL_HANDLE) throw Error(Result::Failure, what + " failed: the driver gave none");
}

void PipelineLibrary::destroy(Pipeline& pipeline) noexcept {
    const DeviceDispatch& vk = device_.dispatch();
    vk.vkDestroyPipeline(device_.handle(), pipeline.handle, device_.allocator());
    vk.vkDestroyPipelineLayout(device_.handle(), pipeline.layout, device_.allocator());
    vk.vkDestroyDescriptorSetLayout(device_.handle(), pipeline.setLayout, device_.allocator());
}

std::vector<std::byte> PipelineLibrary::cacheBlob() const {
    const DeviceDispatch& vk = device_.dispatch();
    size_t size = 0;
    check(vk.vkGetPipelineCacheData(device_.handle(), cache_, &size, nullptr), "reading the pipeline cache");
    std::vector<std::byte> payload(size);
    check(vk.vkGetPipelineCacheData(device_.handle(), cache_, &size, payload.data()), "reading the pipeline cache");
    payload.resize(size);
    return wrapPipelineCache(device_.info(), modulesHash_, payload);
}

}  // namespace vulcat::vk
