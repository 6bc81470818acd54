#pragma once
// What every GPU test needs: an instance with validation and synchronisation validation, one device, pipelines, a
// recorder, and the rule that a test ends with zero validation messages.
//
// The device is the first one, or the index in the environment variable VULCAT_TEST_DEVICE; ctest runs each GPU test
// once per driver through VK_ICD_FILENAMES. No driver or no validation layer is a failure, not a skip.

#include "vk/recorder.h"
#include "vk/transfer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vulcat::test {

/// An output buffer between two canaries, its content NaN bits (0xFFFFFFFF) at the start.
struct GuardedView {
    vk::BufferView view;    ///< what the kernel gets
    vk::BufferView before;  ///< canary
    vk::BufferView after;   ///< canary
};

class GpuFixture {
  public:
    explicit GpuFixture(vk::DeviceOptions options = {}, vk::InstanceOptions instanceOptions = {});
    /// Destroys everything, then CHECKs that the validation layer said nothing (more than expectMessages() allowed).
    ~GpuFixture();
    GpuFixture(const GpuFixture&) = delete;
    GpuFixture& operator=(const GpuFixture&) = delete;

    const vk::Instance& instance() const { return *instance_; }
    vk::Device& device() { return *device_; }
    vk::PipelineLibrary& pipelines() { return *pipelines_; }
    /// Everything a module may use here; narrow it to reach other variants.
    vk::CapabilitySet capabilities() const { return device_->enabled(); }

    /// Records with `record`, submits, waits. Checks all canaries of outputs made since clear().
    void run(const std::function<void(vk::Recorder&)>& record);
    /// The recorder that run() uses, for counts.
    const vk::Recorder& recorder() const { return *recorder_; }

    /// A device buffer with these values. An empty span gives a view of 16 zero bytes, since Vulkan has no empty
    /// bindings.
    template <typename T>
    vk::BufferView upload(std::span<const T> values) {
        return uploadBytes(std::as_bytes(values));
    }
    template <typename T>
    vk::BufferView upload(const std::vector<T>& values) {
        return uploadBytes(std::as_bytes(std::span<const T>(values)));
    }
    vk::BufferView uploadBytes(std::span<const std::byte> bytes);

    /// A guarded output of sizeBytes (a multiple of 4). Canaries are checked by every run() and by the destructor.
    vk::BufferView output(size_t sizeBytes);
    template <typename T>
    vk::BufferView output(size_t count) {
        return output(count * sizeof(T));
    }

    template <typename T>
    std::vector<T> readBack(const vk::BufferView& view) {
        std::vector<T> values(static_cast<size_t>(view.size) / sizeof(T));
        vk::download(*device_, view, std::as_writable_bytes(std::span<T>(values)));
        return values;
    }

    /// Forgets all buffers made by upload() and output(), keeping their memory: for loops over many shapes.
    void clear();

    const std::vector<std::string>& messages() const { return *messages_; }
    /// Takes the messages seen so far out of the final count, after the test has looked at them.
    void acceptMessages() { messages_->clear(); }

  private:
    void checkCanaries();

    std::unique_ptr<std::vector<std::string>> messages_;
    std::unique_ptr<vk::Instance> instance_;
    std::unique_ptr<vk::Device> device_;
    std::unique_ptr<vk::PipelineLibrary> pipelines_;
    std::unique_ptr<vk::Recorder> recorder_;
    std::unique_ptr<vk::Arena> arena_;
    std::unique_ptr<vk::Uploader> uploader_;
    std::vector<GuardedView> guarded_;
};

}  // namespace vulcat::test
