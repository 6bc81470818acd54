#include "cli/gpu_model.h"

#include "cli/cache_folder.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include "format/model_config.h"
#include "vk/device_choice.h"

namespace vulcat::cli {

namespace {

std::string pipelinesName(const vk::Device& device) { return "pipelines-" + device.info().uuidText(); }
std::string tilesName(const vk::Device& device) { return "tiles-" + device.info().uuidText(); }

}  // namespace

OpenDevice::OpenDevice(const std::string& selection)
    : device_(instance_, choose(instance_, selection)),
      keptPipelines_(readCached(pipelinesName(device_))),
      pipelines_(device_, keptPipelines_),
      tuning_(device_.info(), pipelines_.modulesHash(), readCached(tilesName(device_))) {}

OpenDevice::~OpenDevice() {
    try {
        const std::vector<std::byte> blob = pipelines_.cacheBlob();
        if (blob != keptPipelines_) writeCached(pipelinesName(device_), blob);
    } catch (const Error&) {
        // A lost device has nothing to keep; the next run compiles again.
    }
}

bool OpenDevice::keepTuning(kernels::Tuning tuning) {
    tuning_ = std::move(tuning);
    return writeCached(tilesName(device_), tuning_.blob(device_.info(), pipelines_.modulesHash()));
}

const vk::DeviceInfo& OpenDevice::choose(const vk::Instance& instance, const std::string& selection) {
    const auto& devices = instance.physicalDevices();
    const vk::DeviceInfo& device = devices[vk::chooseDevice(devices, selection).position];
    logLine("Device " + std::to_string(device.index) + ": " + device.name + " (" + device.driverName + "), " +
            device.capabilities.toString());
    return device;
}

namespace {

/// A folder that is no model at all is told so by its config.json, not by a tokenizer that is missing too.
text::Tokenizer openTokenizer(const std::filesystem::path& folder) {
    format::readModelConfig(folder);
    return text::Tokenizer(folder);
}

}  // namespace

GpuModel::GpuModel(OpenDevice& device, const std::filesystem::path& folder) : tokenizer_(openTokenizer(folder)) {
    ProgressLine line;
    model_ = std::make_unique<model::DecoderModel>(device.engine(), folder, [&](uint64_t done, uint64_t total, std::string_view) {
        line.update("loading", done, total);
        return !interrupted.load();
    });
    line.clear();
}

}  // namespace vulcat::cli
