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

void openDevice(VulcatContext_T& context, const VulcatContextInfo& info) {
    vk::InstanceOptions options;
    options.validation = info.enableValidation != 0;
    if (context.log != nullptr) {
        options.messages = [&context](vk::MessageSeverity severity, std::string_view message) {
            context.write(levelOf(severity), std::string(message));
        };
    }
    context.instance.emplace(options);
    const auto& devices = context.instance->physicalDevices();
    const vk::DeviceChoice choice = vk::chooseDevice(devices, info.device == nullptr ? "auto" : info.device);
    for (size_t i = 0; i < devices.size(); ++i) {
        context.write(VULCAT_LOG_INFO,
                      "device " + std::to_string(i) + ", " + devices[i].name + ": " + choice.reasons[i]);
    }
    context.device.emplace(*context.instance, devices[choice.position]);
    context.pipelines.emplace(*context.device);
}

uint64_t localMemory(const vk::DeviceInfo& info) {
    uint64_t largest = 0;
    for (const vk::MemoryHeap& heap : info.heaps) {
        if (heap.deviceLocal) largest = std::max(largest, heap.sizeBytes);
    }
    return largest;
}

}  // namespace

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
            openDevice(*made, known);
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
        const vk::DeviceInfo& info = context->device->info();
        VulcatDeviceInfo known{};
        api::copyText(info.name, known.name, sizeof known.name);
        api::copyText(info.driverName + " " + info.driverVersionText, known.driver, sizeof known.driver);
        api::copyText(info.uuidText(), known.uuid, sizeof known.uuid);
        known.memoryBytes = localMemory(info);
        api::writeStruct(known, deviceInfo, "deviceInfo");
    });
}
