#include "cli/copy_limit.h"

#include "kernels/variant.h"

#include "shaders/interface/peak.h"

#include "base/checked.h"

#include <algorithm>
#include <array>

namespace vulcat::cli {
namespace {

uint64_t copiedBytes(const vk::Device& device) {
    constexpr uint64_t kGpuBytes = 256u << 20, kCpuBytes = 64u << 20;  // far more than a cache holds
    const bool cpu = device.info().type == vk::DeviceType::Cpu;
    return std::min<uint64_t>({cpu ? kCpuBytes : kGpuBytes, device.limits().maxAllocation / 4, device.limits().maxStorageRange});
}

const vk::Pipeline& copyPipeline(vk::PipelineLibrary& library, uint32_t lanes) {
    vk::PipelineSpec spec;
    spec.module = "copy";
    spec.constants = {lanes};
    spec.bindings = {vk::BindingKind::Storage, vk::BindingKind::Storage};
    return library.get(spec);
}

}  // namespace

CopyLimit::CopyLimit(vk::Device& device, vk::PipelineLibrary& library, Stopwatch& watch)
    : device_(device),
      watch_(watch),
      lanes_(kernels::defaultLocalSize(device)),
      pipeline_(copyPipeline(library, lanes_)),
      arena_(device, vk::MemoryIntent::Device, copiedBytes(device)),
      from_(arena_.allocate(copiedBytes(device))),
      to_(arena_.allocate(copiedBytes(device))) {}

uint64_t CopyLimit::part() const { return uint64_t{lanes_} * shaders::kCopyWords * 16; }

Timing CopyLimit::byCommand(double seconds) {
    return watch_.time(seconds, [&](vk::Recorder& r) { r.copy(from_, to_); });
}

Timing CopyLimit::byShader(double seconds) {
    const uint64_t atOnce = part() * device_.limits().maxWorkgroupCount[0];
    return watch_.time(seconds, [&](vk::Recorder& r) {
        for (uint64_t at = 0; at + part() <= from_.size; at += atOnce) record(r, at, std::min(atOnce, (from_.size - at) / part() * part()));
    });
}

/// The views reach to the end of the memory, so that each copy waits for the one before, as kernels do.
void CopyLimit::record(vk::Recorder& recorder, uint64_t at, uint64_t bytes) const {
    const std::array<vk::Binding, 2> bindings{vk::read(from_.part(at, from_.size - at)), vk::write(to_.part(at, to_.size - at))};
    recorder.dispatch(pipeline_, bindings, {}, {static_cast<uint32_t>(bytes / part()), 1, 1});
}

double CopyLimit::secondsOf(uint64_t bytes, bool cold) {
    constexpr double kSeconds = 0.1, kAlike = 0.03;
    const auto wanted = static_cast<double>(bytes);
    for (const Measured& m : measured_) {
        const double ratio = wanted / static_cast<double>(m.bytes);
        if (m.cold == cold && ratio > 1 - kAlike && ratio < 1 + kAlike) return m.seconds * ratio;
    }
    // A copy of all of the memory takes so long that one still larger takes as much longer as it is larger.
    const uint64_t most = std::min(part() * device_.limits().maxWorkgroupCount[0], from_.size / part() * part());
    const uint64_t count = std::min(divideUp(bytes / 2, part()) * part(), most);
    const bool cpu = device_.info().type == vk::DeviceType::Cpu;
    uint64_t at = 0;
    const Timing timing = watch_.time(kSeconds, [&](vk::Recorder& r) {
        record(r, at, cpu ? part() : count);
        if (cpu && count > part()) r.copy(from_.part(at, count - part()), to_.part(at, count - part()));
        at = !cold || at + 2 * count > from_.size ? 0 : at + count;
    });
    const double larger = std::max(1.0, wanted / 2 / static_cast<double>(count));
    measured_.push_back({bytes, cold, timing.median * larger});
    return measured_.back().seconds;
}

}  // namespace vulcat::cli
