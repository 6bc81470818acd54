#include "api/handles.h"

#include <memory>

using namespace vulcat;

namespace {

VulcatLogLevel levelOf(vk::MessageSeverity severity) {
    switch (severity) {
        case vk::MessageSeverity::Info:
            return VULCAT_LOG_INFO;
        case vk::MessageSeverity::Warning:
            return VULCAT_LOG_WARNING;
        case vk::MessageSeverity::Error:
            break;
    }
    return VULCAT_LOG_ERROR;
}

std::vector<std::byte> copyBlob(const void* data, size_t bytes, const char* field) {
    api::requireArgument(data != nullptr || bytes == 0, field);
    const auto* first = static_cast<const std::byte*>(data);
    return {first, first + bytes};
}

vk::MemoryFunctions memoryFunctions(const VulcatMemoryFunctions* given) {
    if (given == nullptr) return {};
    const VulcatMemoryFunctions known = api::readStruct(given, "info.memory");
    api::requireArgument(known.allocate != nullptr && known.free != nullptr,
                         "info.memory needs both allocate and free");
    vk::MemoryFunctions functions;
    functions.allocate = [known](const VkMemoryAllocateInfo& info, VkDeviceMemory& memory) {
        uint64_t handle = 0;
        const auto result = static_cast<VkResult>(known.allocate(known.userData, &info, &handle));
        if (result == VK_SUCCESS) memory = (VkDeviceMemory)handle;
        return result;
    };
    functions.free = [known](VkDeviceMemory memory) { known.free(known.userData, (uint64_t)memory); };
    return functions;
}

api::ContextOptions readOptions(const VulcatContextInfo& info) {
    api::ContextOptions options;
    if (info.device != nullptr) options.selection = info.device;
    options.getInstanceProcAddr = reinterpret_cast<PFN_vkGetInstanceProcAddr>(info.getInstanceProcAddr);
    options.validation = info.enableValidation != 0;
    if (info.host != nullptr) {
        options.host = api::adoptedDevice(info.host);
        api::requireArgument(!options.validation, "info.enableValidation is the host's to decide on its own instance");
    }
    if (info.memoryBudgetBytes != 0) options.device.limits.heapBytes = info.memoryBudgetBytes;
    if (info.hangLimitMs != 0) options.device.waitLimit = std::chrono::milliseconds(info.hangLimitMs);
    options.device.lowPriority = info.mode != VULCAT_MODE_COMPUTE;
    options.device.memory = memoryFunctions(info.memory);
    options.device.hostAllocator = static_cast<const VkAllocationCallbacks*>(info.hostAllocator);
    options.pipelineCache = copyBlob(info.pipelineCache, info.pipelineCacheBytes,
                                     "info.pipelineCache is NULL but pipelineCacheBytes is not 0");
    options.tuning = copyBlob(info.tuning, info.tuningBytes, "info.tuning is NULL but tuningBytes is not 0");
    options.tiles = copyBlob(info.tiles, info.tilesBytes, "info.tiles is NULL but tilesBytes is not 0");
    return options;
}

void requireMode(VulcatMode mode) {
    const bool known = mode == VULCAT_MODE_BALANCE || mode == VULCAT_MODE_GRAPHICS || mode == VULCAT_MODE_COMPUTE;
    api::requireArgument(known, "mode is none of VulcatMode");
}

void notePassedOver(VulcatContext_T& context, const std::string& field) {
    context.write(VULCAT_LOG_INFO, field + " is damaged, or of another device, driver or library: passed over");
}

std::vector<std::byte> tilesBlob(VulcatContext_T& context) {
    const layers::Engine engine = context.engine();
    return context.tiles.blob(engine.device.info(), engine.pipelines.modulesHash());
}

/// Keeps what was learned for the next device. A lost one need not answer any more.
void keepBlobs(VulcatContext_T& context) {
    try {
        if (context.pipelines) context.options.pipelineCache = context.pipelines->cacheBlob();
        if (context.costs) context.options.tuning = context.costs->blob();
        if (!context.tiles.empty()) context.options.tiles = tilesBlob(context);
    } catch (const Error& error) {
        context.write(VULCAT_LOG_DEBUG, error.what());
    }
}

}  // namespace

void VulcatContext_T::open() {
    if (options.host) {
        device.emplace(*options.host, options.device);
    } else {
        vk::InstanceOptions wanted;
        wanted.getInstanceProcAddr = options.getInstanceProcAddr;
        wanted.validation = options.validation;
        if (log != nullptr) {
            wanted.messages = [this](vk::MessageSeverity severity, std::string_view message) {
                write(levelOf(severity), std::string(message));
            };
        }
        instance.emplace(wanted);
        const auto& devices = instance->physicalDevices();
        const vk::DeviceChoice choice = vk::chooseDevice(devices, options.selection);
        for (size_t i = 0; i < devices.size(); ++i) {
            write(VULCAT_LOG_INFO, "device " + std::to_string(i) + ", " + devices[i].name + ": " + choice.reasons[i]);
        }
        device.emplace(*instance, devices[choice.position], options.device);
    }
    pipelines.emplace(*device, options.pipelineCache);
    costs.emplace(device->info(), pipelines->modulesHash(), options.tuning);
    tiles = kernels::Tuning(device->info(), pipelines->modulesHash(), options.tiles);
    if (!options.pipelineCache.empty() && !pipelines->cacheHit()) notePassedOver(*this, "info.pipelineCache");
    if (!options.tuning.empty() && !costs->tookBlob()) notePassedOver(*this, "info.tuning");
    if (!options.tiles.empty() && !tiles.tookBlob()) notePassedOver(*this, "info.tiles");
}

void VulcatContext_T::close() {
    for (VulcatSession session : sessions) session->close();
    for (VulcatModel model : models) model->decoder.reset();
    for (VulcatLinear linear : linears) linear->linear.reset();
    costs.reset();
    pipelines.reset();
    if (device && device->abandoned() && instance) instance->abandon();
    device.reset();
    instance.reset();
}

void VulcatContext_T::reopenChildren() {
    for (VulcatLinear linear : linears) linear->open();
    for (VulcatModel model : models) model->open({});
    for (VulcatSession session : sessions) session->open();
}

layers::Engine VulcatContext_T::engine() {
    if (!pipelines) throw Error(Result::DeviceLost, "the context has no device: call vulcatRecreate");
    return {*device, *pipelines, device->capabilities(), &tiles};
}

uint32_t vulcatVersion(void) {
    return uint32_t{VULCAT_VERSION_MAJOR} << 22 | uint32_t{VULCAT_VERSION_MINOR} << 12 | uint32_t{VULCAT_VERSION_PATCH};
}

const char* vulcatResultText(VulcatResult result) {
    switch (result) {
        case VULCAT_SUCCESS:
            return "success";
        case VULCAT_ERROR_FAILURE:
            return "failure";
        case VULCAT_ERROR_INVALID_ARGUMENT:
            return "invalid argument";
        case VULCAT_ERROR_INVALID_FILE:
            return "invalid file";
        case VULCAT_ERROR_NO_DEVICE:
            return "no device";
        case VULCAT_ERROR_OUT_OF_MEMORY:
            return "out of memory";
        case VULCAT_ERROR_DEVICE_LOST:
            return "device lost";
        case VULCAT_ERROR_WRONG_RESULT:
            return "wrong result";
        case VULCAT_ERROR_CANCELLED:
            return "cancelled";
        case VULCAT_ERROR_UNSUPPORTED:
            return "unsupported";
        case VULCAT_RESULT_MAX_ENUM:
            break;
    }
    return "unknown result";
}

VulcatResult vulcatCreateContext(const VulcatContextInfo* info, VulcatContext* context) {
    std::string errorText;
    VulcatContextInfo known{};
    VulcatResult result = api::guard(errorText, [&] { known = api::readStruct(info, "info"); });
    if (result == VULCAT_SUCCESS) {
        result = api::guard(errorText, [&] {
            api::requireArgument(context != nullptr, "context must not be NULL");
            auto made = std::make_unique<VulcatContext_T>();
            made->log = known.log;
            made->userData = known.userData;
            requireMode(known.mode);
            made->mode = known.mode;
            made->options = readOptions(known);
            made->open();
            *context = made.release();
        });
    }
    api::copyText(errorText, known.errorText, known.errorTextSize);
    return result;
}

void vulcatDestroyContext(VulcatContext context) {
    delete context;
}

const char* vulcatContextErrorText(VulcatContext context) {
    return context == nullptr ? "" : context->errorText.c_str();
}

VulcatResult vulcatContextDevice(VulcatContext context, VulcatDeviceInfo* deviceInfo) {
    return api::guardHandle(context, [&] {
        const layers::Engine engine = context->engine();
        const vk::DeviceInfo& info = engine.device.info();
        VulcatDeviceInfo known{};
        api::copyText(info.name, known.name, sizeof known.name);
        api::copyText(info.driverName + " " + info.driverVersionText, known.driver, sizeof known.driver);
        api::copyText(info.uuidText(), known.uuid, sizeof known.uuid);
        known.memoryBytes = info.limits.heapBytes;
        known.usedBytes = engine.device.deviceBytes();
        known.pipelineCount = static_cast<uint32_t>(engine.pipelines.createdCount());
        api::writeStruct(known, deviceInfo, "deviceInfo");
    });
}

VulcatResult vulcatSetMode(VulcatContext context, VulcatMode mode) {
    return api::guardHandle(context, [&] {
        requireMode(mode);
        context->mode = mode;
    });
}

VulcatResult vulcatContextBlob(VulcatContext context, VulcatBlob kind, void* data, size_t* bytes) {
    return api::guardHandle(context, [&] {
        api::requireArgument(bytes != nullptr, "bytes must not be NULL");
        const layers::Engine engine = context->engine();
        std::vector<std::byte> blob;
        switch (kind) {
            case VULCAT_BLOB_PIPELINE_CACHE: blob = engine.pipelines.cacheBlob(); break;
            case VULCAT_BLOB_TUNING: blob = context->costs->blob(); break;
            case VULCAT_BLOB_TILES: blob = tilesBlob(*context); break;
            default: api::requireArgument(false, "kind is none of VulcatBlob");
        }
        api::copyOut(blob.data(), blob.size(), static_cast<std::byte*>(data), bytes, "data");
    });
}

VulcatResult vulcatRecreate(VulcatContext context, const VulcatHostDevice* host) {
    return api::guardHandle(context, [&] {
        api::requireArgument((host != nullptr) == context->options.host.has_value(),
                             "host is given exactly for a context on the host's device");
        std::optional<vk::AdoptedDevice> next;
        if (host != nullptr) next = api::adoptedDevice(host);
        keepBlobs(*context);
        context->close();
        if (next) context->options.host = std::move(next);
        try {
            context->open();
            context->reopenChildren();
        } catch (...) {
            context->close();
            throw;
        }
    });
}
