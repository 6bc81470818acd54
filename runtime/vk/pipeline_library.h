#pragma once
// Compute pipelines, made once each from the embedded modules and checked against their SPIR-V where the mistake would
// be made. Pipelines are made when a plan is made, never while recording: createdCount() lets a test assert it.

#include "vk/memory.h"
#include "vk/spirv.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vulcat::vk {

struct PipelineSpec {
    std::string_view module;            ///< name of a vulcat_shader() line
    std::vector<uint32_t> constants;    ///< value of specialisation constant i; floats by their bits
    uint32_t pushBytes = 0;             ///< size of the push-constant block, a multiple of 4
    std::vector<BindingKind> bindings;  ///< binding i of set 0
    uint32_t requiredSubgroupSize = 0;  ///< 0: any. Else the pipeline runs with full subgroups of exactly this size
};

/// A ready pipeline; belongs to its library.
struct Pipeline {
    std::string module;
    VkPipeline handle = VK_NULL_HANDLE;
    VkPipelineLayout layout = VK_NULL_HANDLE;
    VkDescriptorSetLayout setLayout = VK_NULL_HANDLE;
    std::vector<BindingKind> bindings;
    uint32_t pushBytes = 0;
    std::array<uint32_t, 3> localSize{1, 1, 1};
    uint64_t id = 0;  ///< hash of its spec: the same in every process
    /// A dispatch may run in parts, each with a first workgroup: the module never asks how many workgroups there are.
    bool splittable = false;
};

class PipelineLibrary {
  public:
    /// `cacheBlob` is what cacheBlob() gave on the same device, driver and modules; anything else, damaged or empty, is
    /// a miss and not an error.
    explicit PipelineLibrary(Device& device, std::span<const std::byte> cacheBlob = {},
                             std::span<const shaders::Module> modules = shaders::modules());
    ~PipelineLibrary();
    PipelineLibrary(const PipelineLibrary&) = delete;
    PipelineLibrary& operator=(const PipelineLibrary&) = delete;

    /// The pipeline for `spec`, created at the first call and the same object at every later one.
    /// Throws Error(InvalidArgument) naming the module when there is no such module or bindings, push size or number of
    /// constants disagree with its SPIR-V; Error(Unsupported) when it needs capabilities, a subgroup size, threads or
    /// shared memory that the device does not offer; Error(Failure) when the driver refuses it.
    const Pipeline& get(const PipelineSpec& spec);

    uint64_t modulesHash() const {
        return modulesHash_;
    }  ///< of all modules: what was learned about them is void with it
    size_t createdCount() const { return pipelines_.size(); }
    bool cacheHit() const { return cacheHit_; }  ///< the blob given to the constructor was accepted
    std::vector<std::byte> cacheBlob() const;

  private:
    const shaders::Module& module(std::string_view name) const;
    std::unique_ptr<Pipeline> create(const PipelineSpec& spec, std::string_view key);
    void createLayout(Pipeline& pipeline);
    void createPipeline(Pipeline& pipeline, const PipelineSpec& spec, const shaders::Module& module);
    void destroy(Pipeline& pipeline) noexcept;

    Device& device_;
    std::span<const shaders::Module> modules_;
    uint64_t modulesHash_ = 0;
    VkPipelineCache cache_ = VK_NULL_HANDLE;
    bool cacheHit_ = false;
    std::map<std::string, std::unique_ptr<Pipeline>> pipelines_;
};

}  // namespace vulcat::vk
