#pragma once
// A model opened on a Vulkan device, as the subcommands use it.

#include "model/decoder_model.h"
#include "text/tokenizer.h"
#include "kernels/tuning.h"
#include "vk/device.h"
#include "vk/pipeline_library.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace vulcat::cli {

/// An opened device and its pipelines, with what earlier runs kept of it (cache_folder.h).
class OpenDevice {
  public:
    /// `selection`: auto, an index, a UUID or part of a name. Says on stderr which device it is.
    explicit OpenDevice(const std::string& selection);
    /// Keeps newly compiled pipelines for the next run.
    ~OpenDevice();
    OpenDevice(const OpenDevice&) = delete;
    OpenDevice& operator=(const OpenDevice&) = delete;

    vk::Device& device() { return device_; }
    layers::Engine engine() { return {device_, pipelines_, device_.capabilities(), &tuning_}; }

    /// Used by layers made from now on, and kept for later runs. False: it could not be kept.
    bool keepTuning(kernels::Tuning tuning);
    const kernels::Tuning& tuning() const { return tuning_; }

  private:
    static const vk::DeviceInfo& choose(const vk::Instance& instance, const std::string& selection);

    vk::Instance instance_;
    vk::Device device_;
    std::vector<std::byte> keptPipelines_;
    vk::PipelineLibrary pipelines_;
    kernels::Tuning tuning_;
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
