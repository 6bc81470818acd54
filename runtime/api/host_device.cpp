// The host's own device: what to enable before it is made, and how it is handed over.
#include "api/handles.h"

#include "vk/features.h"

using namespace vulcat;

namespace {

constexpr uint32_t kSizeControl = VULCAT_CAPABILITY_SIZE_CONTROL;
static_assert(VULCAT_CAPABILITY_STORE16 == static_cast<uint32_t>(vk::Capability::Store16));
static_assert(VULCAT_CAPABILITY_F16 == static_cast<uint32_t>(vk::Capability::F16));
static_assert(VULCAT_CAPABILITY_STORE8 == static_cast<uint32_t>(vk::Capability::Store8));
static_assert(VULCAT_CAPABILITY_I8 == static_cast<uint32_t>(vk::Capability::I8));
static_assert(VULCAT_CAPABILITY_DOT == static_cast<uint32_t>(vk::Capability::Dot));
static_assert(VULCAT_CAPABILITY_COOPMAT == static_cast<uint32_t>(vk::Capability::Coopmat));
static_assert(VULCAT_CAPABILITY_ADDRESS == static_cast<uint32_t>(vk::Capability::Address));

/// What a host enables; SUBGROUP and TEXEL are properties that need no enabling.
constexpr uint32_t kFeatures = VULCAT_CAPABILITY_STORE16 | VULCAT_CAPABILITY_F16 | VULCAT_CAPABILITY_STORE8 |
                               VULCAT_CAPABILITY_I8 | VULCAT_CAPABILITY_DOT | VULCAT_CAPABILITY_COOPMAT |
                               VULCAT_CAPABILITY_ADDRESS;

vk::DeviceInfo describe(const VulcatDeviceQuery& query) {
    api::requireArgument(query.getInstanceProcAddr != nullptr, "query.getInstanceProcAddr must not be NULL");
    api::requireArgument(query.instance != nullptr, "query.instance must not be NULL");
    api::requireArgument(query.physicalDevice != nullptr, "query.physicalDevice must not be NULL");
    const auto get = reinterpret_cast<PFN_vkGetInstanceProcAddr>(query.getInstanceProcAddr);
    const vk::InstanceDispatch functions = vk::loadInstance(get, static_cast<VkInstance>(query.instance));
    return vk::describeDevice(functions, static_cast<VkPhysicalDevice>(query.physicalDevice), 0,
                              query.apiVersion == 0 ? VK_API_VERSION_1_1 : query.apiVersion);
}

/// Extensions as constants: the info they are found in does not live as long as the answer.
const char* constantName(std::string_view extension) {
    for (const char* name : {VK_KHR_8BIT_STORAGE_EXTENSION_NAME, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME,
                             VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME,
                             VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME,
                             VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME,
                             "VK_KHR_portability_subset"}) {
        if (extension == name) return name;
    }
    throw Error(Result::Failure, "no constant for the extension " + std::string(extension));
}

void describeSupport(const VulcatDeviceQuery& query, VulcatDeviceSupport& support) {
    const vk::DeviceInfo info = describe(query);
    support.usable = info.usable() ? 1 : 0;
    api::copyText(info.unusableBecause, support.reason, sizeof support.reason);
    if (!info.usable()) return;
    support.queueFamily = *info.queueFamily;
    support.capabilities = (info.available.bits() & kFeatures) | (info.subgroupSizeControl ? kSizeControl : 0);
    support.offersLowPriority = info.lowPriorityExtension.empty() ? 0 : 1;
    const uint32_t version = std::min(info.apiVersion, query.apiVersion == 0 ? VK_API_VERSION_1_1 : query.apiVersion);
    vk::FeatureChain features(version, info.extensions);
    features.enable(info.available, info.subgroupSizeControl);
    for (const char* extension : features.extensions()) {
        if (support.extensionCount == VULCAT_MAX_EXTENSIONS) throw Error(Result::Failure, "too many extensions");
        support.extensions[support.extensionCount++] = constantName(extension);
    }
    support.features = features.copyInto(support.featureStorage);
    if (support.features == nullptr) throw Error(Result::Failure, "VulcatDeviceSupport.featureStorage is too small");
}

}  // namespace

vk::AdoptedDevice api::adoptedDevice(const VulcatHostDevice* host) {
    const VulcatHostDevice known = readStruct(host, "host");
    requireArgument(known.getInstanceProcAddr != nullptr, "host.getInstanceProcAddr must not be NULL");
    requireArgument(known.instance != nullptr, "host.instance must not be NULL");
    requireArgument(known.physicalDevice != nullptr, "host.physicalDevice must not be NULL");
    requireArgument(known.device != nullptr, "host.device must not be NULL");
    requireArgument((known.lockQueue == nullptr) == (known.unlockQueue == nullptr),
                    "host.lockQueue and host.unlockQueue come together");
    vk::AdoptedDevice adopted;
    adopted.getInstanceProcAddr = reinterpret_cast<PFN_vkGetInstanceProcAddr>(known.getInstanceProcAddr);
    adopted.instance = static_cast<VkInstance>(known.instance);
    adopted.physicalDevice = static_cast<VkPhysicalDevice>(known.physicalDevice);
    adopted.device = static_cast<VkDevice>(known.device);
    adopted.queue = static_cast<VkQueue>(known.queue);
    adopted.queueFamily = known.queueFamily;
    if (known.apiVersion != 0) adopted.instanceVersion = known.apiVersion;
    adopted.enabled = vk::CapabilitySet::fromBits(known.capabilities & kFeatures);
    adopted.subgroupSizeControlEnabled = (known.capabilities & kSizeControl) != 0;
    if (known.lockQueue != nullptr) {
        adopted.lockQueue = [known] { known.lockQueue(known.userData); };
        adopted.unlockQueue = [known] { known.unlockQueue(known.userData); };
    }
    return adopted;
}

VulcatResult vulcatQueryDevice(const VulcatDeviceQuery* query, VulcatDeviceSupport* support) {
    std::string errorText;
    if (support == nullptr || support->structSize != sizeof *support) return VULCAT_ERROR_INVALID_ARGUMENT;
    const size_t structSize = support->structSize;
    *support = {};
    support->structSize = structSize;
    const VulcatResult result =
        api::guard(errorText, [&] { describeSupport(api::readStruct(query, "query"), *support); });
    if (result != VULCAT_SUCCESS) api::copyText(errorText, support->reason, sizeof support->reason);
    return result;
}
