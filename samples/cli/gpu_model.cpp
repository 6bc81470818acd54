#include "cli/gpu_model.h"

#include "cli/command.h"
#include "cli/terminal.h"

#include "vk/device_choice.h"

namespace vulcat::cli {

OpenDevice::OpenDevice(const std::string& selection) : device_(instance_, choose(instance_, selection)), pipelines_(device_) {}

const vk::DeviceInfo& OpenDevice::choose(const vk::Instance& instance, const std::string& selection) {
    const auto& devices = instance.physicalDevices();
    const vk::DeviceInfo& device = devices[vk::chooseDevice(devices, selection).position];
    logLine("Device " + std::to_string(device.index) + ": " + device.name + " (" + device.driverName + "), " +
            device.capabilities.toString());
    return device;
}

GpuModel::GpuModel(OpenDevice& device, const std::filesystem::path& folder) : tokenizer_(folder) {
    ProgressLine line;
    model_ = std::make_unique<model::DecoderModel>(device.engine(), folder, [&](uint64_t done, uint64_t total, std::string_view) {
        line.update("loading", done, total);
        return !interrupted.load();
    });
    line.clear();
}

}  // namespace vulcat::cli
