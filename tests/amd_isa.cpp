// amd_isa [LISTINGS]: what a driver's compiler makes of the pipelines of a Llama's steps, a line each, as it tells through
// VK_KHR_pipeline_executable_properties; nothing runs. In the folder LISTINGS it leaves what the driver shows of each, machine
// code last. For amd_isa.sh, which says what the columns are. 1 when a pipeline spills vector registers or uses scratch memory.

#include "kernels/attention.h"
#include "kernels/block_transform.h"
#include "kernels/embedding.h"
#include "kernels/float_linear.h"
#include "kernels/integer_linear.h"
#include "kernels/mix_dense.h"
#include "kernels/mix_hadamard.h"
#include "kernels/quantise_rows.h"
#include "kernels/rms_norm.h"
#include "kernels/rope_store.h"
#include "kernels/site_codes.h"
#include "kernels/site_teams.h"
#include "kernels/swiglu.h"
#include "kernels/top_logits.h"
#include "vk/device_choice.h"
#include "vk/pipeline_library.h"

#include "shaders/table.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace vulcat;

// The hooks are functions without a context; there is one device in this program.
PFN_vkGetInstanceProcAddr nextInstanceProc = nullptr;
PFN_vkGetDeviceProcAddr nextDeviceProc = nullptr;
PFN_vkCreateDevice nextCreateDevice = nullptr;
PFN_vkCreateShaderModule nextCreateModule = nullptr;
PFN_vkCreateComputePipelines nextCreatePipelines = nullptr;
std::map<VkShaderModule, std::string> moduleNames;
std::string listings;  // a folder; empty: none
std::string label;     // what is being made
int pipelines = 0, spilling = 0;

/// A Vulkan function that fills an array, called once for its size and once for its items.
template <class Item, class Function>
std::vector<Item> listOf(Function function, VkDevice device, const VkPipelineExecutableInfoKHR& info, VkStructureType type) {
    uint32_t count = 0;
    function(device, &info, &count, nullptr);
    Item empty{};
    empty.sType = type;
    std::vector<Item> items(count, empty);
    function(device, &info, &count, items.data());
    return items;
}

/// How often each instruction occurs in a listing whose lines begin with one.
using Instructions = std::map<std::string, int>;
Instructions instructionsOf(const std::string& text) {
    Instructions counts;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string name;
        if (words >> name && name.back() != ':') ++counts[name];
    }
    return counts;
}

int countOf(const Instructions& instructions, std::initializer_list<std::string_view> beginnings) {
    int count = 0;
    for (const auto& [name, n] : instructions) {
        const auto begins = [&name = name](std::string_view beginning) { return name.starts_with(beginning); };
        if (std::any_of(beginnings.begin(), beginnings.end(), begins)) count += n;
    }
    return count;
}

/// The driver's last text, its machine code.
std::string machineCode(VkDevice device, const VkPipelineExecutableInfoKHR& info, const std::string& name) {
    const auto function = reinterpret_cast<PFN_vkGetPipelineExecutableInternalRepresentationsKHR>(
        nextDeviceProc(device, "vkGetPipelineExecutableInternalRepresentationsKHR"));
    auto parts = listOf<VkPipelineExecutableInternalRepresentationKHR>(
        function, device, info, VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR);
    std::vector<std::string> texts;
    for (const auto& part : parts) texts.emplace_back(part.dataSize, '\0');
    for (size_t i = 0; i < parts.size(); ++i) parts[i].pData = texts[i].data();
    auto count = static_cast<uint32_t>(parts.size());
    function(device, &info, &count, parts.data());
    if (!listings.empty()) {
        std::ofstream file(std::filesystem::path(listings) / (std::to_string(pipelines) + ".txt"));
        file << name << "\n";
        for (size_t i = 0; i < parts.size(); ++i) file << "\n" << parts[i].name << "\n" << texts[i].c_str() << "\n";
    }
    return texts.empty() ? "" : texts.back().c_str();
}

void report(VkDevice device, VkPipeline pipeline, const std::string& name) {
    VkPipelineExecutableInfoKHR info{};
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR;
    info.pipeline = pipeline;
    std::map<std::string, unsigned long long> values;
    for (const auto& item : listOf<VkPipelineExecutableStatisticKHR>(
             reinterpret_cast<PFN_vkGetPipelineExecutableStatisticsKHR>(nextDeviceProc(device, "vkGetPipelineExecutableStatisticsKHR")),
             device, info, VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR))
        values[item.name] = item.value.u64;
    const Instructions code = instructionsOf(machineCode(device, info, name));
    ++pipelines;
    if (values["Spilled VGPRs"] + values["Scratch size"] > 0) ++spilling;
    std::printf("| %-64s | %4llu | %4llu | %4llu | %6llu | %6llu | %5llu | %6llu | %5d | %5d | %5d | %5d | %5d | %4d of %-4d | %5d |\n",
                name.c_str(), values["VGPRs"], values["Spilled VGPRs"], values["Spilled SGPRs"], values["Scratch size"], values["LDS size"],
                values["Subgroups per SIMD"], values["Code size"], countOf(code, {"v_"}), countOf(code, {"v_dot4"}),
                countOf(code, {"v_fma", "v_fmac", "v_mac_f", "v_mad_f", "v_pk_fma", "v_dual_fmac"}),
                countOf(code, {"v_mul_lo", "v_mul_hi", "v_mad_u64"}), countOf(code, {"v_readlane", "v_writelane"}),
                countOf(code, {"buffer_load_b128", "buffer_load_dwordx4", "buffer_load_format_xyzw"}), countOf(code, {"buffer_load"}),
                countOf(code, {"s_buffer_load"}));
}

VKAPI_ATTR VkResult VKAPI_CALL createModule(VkDevice device, const VkShaderModuleCreateInfo* info, const VkAllocationCallbacks* allocator,
                                            VkShaderModule* made) {
    const VkResult result = nextCreateModule(device, info, allocator, made);
    for (const shaders::Module& item : shaders::modules()) {
        if (item.words.data() == info->pCode) moduleNames[*made] = item.name;
    }
    return result;
}

VKAPI_ATTR VkResult VKAPI_CALL createPipelines(VkDevice device, VkPipelineCache cache, uint32_t count, const VkComputePipelineCreateInfo* given,
                                               const VkAllocationCallbacks* allocator, VkPipeline* made) {
    VkComputePipelineCreateInfo info = *given;  // PipelineLibrary makes one at a time
    info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    const VkResult result = nextCreatePipelines(device, cache, count, &info, allocator, made);
    if (result != VK_SUCCESS) return result;
    std::string name = label + ": " + moduleNames[info.stage.module];
    const VkSpecializationInfo& constants = *info.stage.pSpecializationInfo;
    for (uint32_t i = 0; i < constants.mapEntryCount; ++i)
        name += (i == 0 ? " " : ",") + std::to_string(static_cast<const uint32_t*>(constants.pData)[i]);
    report(device, *made, name);
    return result;
}

VKAPI_ATTR VkResult VKAPI_CALL createDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo* given, const VkAllocationCallbacks* allocator,
                                            VkDevice* made) {
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature{};
    feature.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR;
    feature.pNext = const_cast<void*>(given->pNext);
    feature.pipelineExecutableInfo = VK_TRUE;
    VkDeviceCreateInfo info = *given;
    info.pNext = &feature;
    std::vector<const char*> names(info.ppEnabledExtensionNames, info.ppEnabledExtensionNames + info.enabledExtensionCount);
    names.push_back(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    info.enabledExtensionCount = static_cast<uint32_t>(names.size());
    info.ppEnabledExtensionNames = names.data();
    return nextCreateDevice(physical, &info, allocator, made);
}

/// Keeps what was next and gives the hook.
template <class Function>
PFN_vkVoidFunction hook(Function& next, PFN_vkVoidFunction found, Function mine) {
    next = reinterpret_cast<Function>(found);
    return reinterpret_cast<PFN_vkVoidFunction>(mine);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL deviceProc(VkDevice device, const char* name) {
    const PFN_vkVoidFunction found = nextDeviceProc(device, name);
    if (std::strcmp(name, "vkCreateShaderModule") == 0) return hook(nextCreateModule, found, &createModule);
    if (std::strcmp(name, "vkCreateComputePipelines") == 0) return hook(nextCreatePipelines, found, &createPipelines);
    return found;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instanceProc(VkInstance instance, const char* name) {
    const PFN_vkVoidFunction found = nextInstanceProc(instance, name);
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0) return hook(nextDeviceProc, found, &deviceProc);
    if (std::strcmp(name, "vkCreateDevice") == 0) return hook(nextCreateDevice, found, &createDevice);
    return found;
}

constexpr uint32_t kRows = 512;  // of a pass

/// The linears of an 8 B model.
void makeLinears(vk::Device& device, vk::PipelineLibrary& library) {
    using namespace kernels;
    const vk::CapabilitySet allowed = device.capabilities();
    struct Format {
        const char* name;
        WeightFormat format;
        uint32_t group;
    };
    constexpr Format kFormats[] = {{"w4", WeightFormat::Int4, 0}, {"w4-g128", WeightFormat::Int4, 128}, {"w8", WeightFormat::Int8, 0}};
    struct Size {
        const char* name;
        uint32_t outputs, inputs;
    };
    constexpr Size kSizes[] = {{"qkv", 6144, 4096}, {"gate, up", 28672, 4096}, {"down", 4096, 14336}};
    for (const auto& [part, outputs, inputs] : kSizes) {
        for (const auto& [name, format, group] : kFormats) {
            label = std::string(part) + " " + name;
            IntegerLinear(device, library, allowed, {{format, inputs, group}, outputs}, kRows);
            label += "a16";
            FloatLinear(device, library, allowed, {{format, inputs, group}, outputs}, kRows);
        }
    }
    for (const WeightFormat format : {WeightFormat::F16, WeightFormat::BF16}) {
        label = format == WeightFormat::F16 ? "F16" : "BF16";
        for (const uint32_t outputs : {4096u, 128256u}) FloatLinear(device, library, allowed, {{format, 4096, 0}, outputs}, kRows);
        Embedding(device, library, allowed, {format, 4096, 0});
    }
}

void makeOthers(vk::Device& device, vk::PipelineLibrary& library) {
    using namespace kernels;
    const vk::CapabilitySet allowed = device.capabilities();
    for (const uint32_t block : {64u, 128u}) {
        label = "blocks of " + std::to_string(block);
        BlockTransform(device, library, allowed, 4096, block);
        if (BlockTransform::takesSwiGlu(device, allowed, block)) BlockTransform(device, library, allowed, 14336, block, true);
    }
    label = "mix";
    MixHadamard(device, library, allowed, 4096, 4096, 1);
    MixHadamard(device, library, allowed, 14336, 32, 64 * 7);
    MixDense(device, library, allowed, 14336, 7, 64);
    MixDense(device, library, allowed, 5632, 11, 1);
    label = "site of 512";
    for (const SiteSource source : {SiteSource::Norm, SiteSource::SwiGlu})
        SiteCodes(device, library, allowed, {512, source, 1e-5f, 64, 1, 64, 8, {4, false}});
    label = "site by teams";
    SiteTeams(device, library, {4096, SiteSource::Norm, 1e-5f, 64, 1, 64, 64, {4, false}});
    SiteTeams(device, library, {4096, SiteSource::Rows, 1e-5f, 64, 1, 64, 64, {4, false}});
    SiteTeams(device, library, {14336, SiteSource::SwiGlu, 1e-5f, 64, 7, 64, 32, {4, false}});
    SiteTeams(device, library, {5632, SiteSource::SwiGlu, 1e-5f, 64, 11, 64, 8, {8, true}});
    SiteTeams(device, library, {11008, SiteSource::SwiGlu, 1e-5f, 64, 43, 64, 4, {8, true}});
    label = "rows";
    for (const uint32_t bits : {4u, 8u}) QuantiseRows(device, library, allowed, {bits, bits == 8});
    RmsNorm(device, library, allowed, 4096, 1e-5f);
    SwiGlu(device, library, allowed, 14336);
    for (const uint32_t dimension : {64u, 128u}) {
        label = "heads of " + std::to_string(dimension);
        Attention(device, library, allowed, {32, 8, dimension});
        RopeStore(device, library, allowed, {32, 8, dimension});
    }
    label = "sampling";
    TopLogits(device, library, 128256);
}

int run() {
    const vk::Loader loader;
    nextInstanceProc = loader.getInstanceProcAddr();
    vk::InstanceOptions options;
    options.getInstanceProcAddr = instanceProc;
    // Never destroyed, since RADV crashes where it destroys its null device.
    const vk::Instance& instance = *new vk::Instance(options);
    const std::vector<vk::DeviceInfo>& devices = instance.physicalDevices();
    const vk::DeviceInfo& info = devices[vk::chooseDevice(devices, "auto").position];
    vk::Device& device = *new vk::Device(instance, info);
    vk::PipelineLibrary& library = *new vk::PipelineLibrary(device);
    std::printf("\n%s, %s, %s, subgroups of %u\n\n", info.name.c_str(), info.driverVersionText.c_str(),
                device.capabilities().toString().c_str(), device.limits().subgroupSize);
    std::printf("| %-64s | VGPR | spil | SGsp | scrtch |    LDS | waves |   code |  VALU |  dot4 |   fma |  mul  | lanes | loads128     | sload |\n", "pipeline");
    std::printf("|%s|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n", std::string(66, '-').c_str());
    std::fflush(stdout);  // a compiler that crashes leaves at least this
    makeLinears(device, library);
    makeOthers(device, library);
    std::printf("\n%d pipelines, %d of them spill vector registers or use scratch memory\n", pipelines, spilling);
    return spilling > 0 ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1) listings = arguments[1];
    int result = 2;
    try {
        result = run();
    } catch (const Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
    }
    std::fflush(stdout);
    std::_Exit(result);
}
