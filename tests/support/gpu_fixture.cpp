#include "support/gpu_fixture.h"

#include "vk/device_choice.h"

#include <doctest/doctest.h>


#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace vulcat::test {
namespace {

constexpr uint32_t kCanary = 0xCA7CA7CAu;
constexpr uint32_t kNan = 0xFFFFFFFFu;
constexpr size_t kCanaryBytes = 256;
constexpr size_t kBlockBytes = 4u << 20;

vk::InstanceOptions withValidation(vk::InstanceOptions options, std::vector<std::string>* messages) {
    options.validation = true;
    options.applicationName = "vulcat tests";
    options.messages = [messages](vk::MessageSeverity, std::string_view text) { messages->emplace_back(text); };
    return options;
}

const vk::DeviceInfo& selectedDevice(const vk::Instance& instance) {
    const char* wanted = std::getenv("VULCAT_TEST_DEVICE");
    const auto& devices = instance.physicalDevices();
    return devices[vk::chooseDevice(devices, wanted != nullptr ? wanted : "0").position];
}

/// Once a process and device: a log without the driver's name is worth little.
void announce(const vk::DeviceInfo& info) {
    static std::set<std::string> seen;
    if (!seen.insert(info.name).second) return;
    std::printf("GPU: %s, %s %s, %s\n", info.name.c_str(), info.driverName.c_str(), info.driverVersionText.c_str(),
                info.available.toString().c_str());
    std::fflush(stdout);
}

}  // namespace

GpuFixture::GpuFixture(vk::DeviceOptions options, vk::InstanceOptions instanceOptions)
    : messages_(std::make_unique<std::vector<std::string>>()) {
    instance_ = std::make_unique<vk::Instance>(withValidation(std::move(instanceOptions), messages_.get()));
    const vk::DeviceInfo& info = selectedDevice(*instance_);
    announce(info);
    device_ = std::make_unique<vk::Device>(*instance_, info, std::move(options));
    pipelines_ = std::make_unique<vk::PipelineLibrary>(*device_);
    recorder_ = std::make_unique<vk::Recorder>(*device_);
    arena_ = std::make_unique<vk::Arena>(*device_, vk::MemoryIntent::Device, kBlockBytes);
    uploader_ = std::make_unique<vk::Uploader>(*device_, 1u << 20);
}

GpuFixture::~GpuFixture() {
    try {
        checkCanaries();
    } catch (const std::exception& error) {
        FAIL_CHECK("canaries: " << error.what());
    }
    uploader_.reset();
    arena_.reset();
    recorder_.reset();
    pipelines_.reset();
    device_.reset();
    instance_.reset();
    for (const std::string& message : *messages_) MESSAGE(message);
    CHECK_MESSAGE(messages_->empty(), "the validation layer reported " << messages_->size() << " messages");
}

void GpuFixture::run(const std::function<void(vk::Recorder&)>& record) {
    recorder_->begin();
    record(*recorder_);
    recorder_->end();
    device_->submitAndWait(*recorder_);
    checkCanaries();
}

vk::BufferView GpuFixture::uploadBytes(std::span<const std::byte> bytes) {
    if (bytes.empty()) return uploadBytes(std::vector<std::byte>(16));
    const vk::BufferView view = arena_->allocate(bytes.size());
    uploader_->write(view, bytes);
    uploader_->finish();
    return view;
}

vk::BufferView GpuFixture::output(size_t sizeBytes) {
    GuardedView guarded;
    // The canaries touch the output where its size allows: alignment pads only behind an odd end.
    const vk::BufferView whole = arena_->allocate(kCanaryBytes + sizeBytes + kCanaryBytes);
    guarded.before = whole.part(0, kCanaryBytes);
    guarded.view = whole.part(kCanaryBytes, sizeBytes);
    guarded.after = whole.part(kCanaryBytes + sizeBytes, kCanaryBytes);
    std::vector<uint32_t> words(whole.size / sizeof(uint32_t), kCanary);
    const auto begin = words.begin() + kCanaryBytes / sizeof(uint32_t);
    std::fill(begin, begin + static_cast<std::ptrdiff_t>(sizeBytes / sizeof(uint32_t)), kNan);
    uploader_->write(whole, std::span<const uint32_t>(words));
    uploader_->finish();
    guarded_.push_back(guarded);
    return guarded.view;
}

void GpuFixture::checkCanaries() {
    for (const GuardedView& guarded : guarded_) {
        for (const vk::BufferView& view : {guarded.before, guarded.after}) {
            const std::vector<uint32_t> words = readBack<uint32_t>(view);
            const bool intact = std::all_of(words.begin(), words.end(), [](uint32_t word) { return word == kCanary; });
            CHECK_MESSAGE(intact, "a kernel wrote outside of its output of " << guarded.view.size << " bytes");
        }
    }
}

void GpuFixture::clear() {
    checkCanaries();
    guarded_.clear();
    arena_->reset();
}

}  // namespace vulcat::test
