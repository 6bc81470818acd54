#pragma once
// A model opened on a Vulkan device, as the subcommands use it.

#include "model/decoder_model.h"
#include "text/tokenizer.h"
#include "vk/device.h"
#include "vk/pipeline_library.h"

#include <filesystem>
#include <memory>
#include <string>

namespace vulcat::cli {

/// An opened device and its pipelines.
class OpenDevice {
  public:
    /// `selection`: auto, an index, a UUID or part of a name. Says on stderr which device it is.
    explicit OpenDevice(const std::string& selection);

    vk::Device& device() { return device_; }
    layers::Engine engine() { return {device_, pipelines_, device_.capabilities()}; }

  private:
    static const vk::DeviceInfo& choose(const vk::Instance& instance, const std::string& selection);

    vk::Instance instance_;
    vk::Device device_;
    vk::PipelineLibrary pipelines_;
};

/// A model folder, float or calibrated, on an opened device. Shows progress while it loads; Ctrl-C cancels.
class GpuModel {
  public:
    GpuModel(OpenDevice& device, const std::filesystem::path& folder);

    const model::DecoderModel& model() const { return *model_; }
    const text::Tokenizer& tokenizer() const { return tokenizer_; }

  private:
    text::Tokenizer tokenizer_;
    std::unique_ptr<model::DecoderModel> model_;
};

}  // namespace vulcat::cli
