#include "model/step_costs.h"

#include "vk/pipeline_cache.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace vulcat::model {
namespace {

constexpr uint32_t kSettledSamples = 4;
constexpr size_t kMostEntries = 1u << 16;
constexpr double kOutlier = 4;  // times the mean
constexpr double kFading = 0.875;
constexpr double kClockNs = 1000;  // no device tells times apart that are closer
constexpr size_t kCommandsOfComparison = 4;
// The margin settles where growth and shrinkage cancel: at one slice over budget in 250.
constexpr double kMarginGrowth = 1.25;
constexpr double kSlicesOfGrowth = 250;
constexpr double kLeastMargin = 1.1;
constexpr double kMostMargin = 3;

/// One line of the blob: plain numbers, in the machine's order, as the blob is only good on the machine it is from.
struct CostEntry {
    uint64_t pipeline, range, groups;
    double meanNs, deviationNs, weight;
    uint64_t samples;
};
static_assert(std::is_trivially_copyable_v<CostEntry> && sizeof(CostEntry) == 56);

constexpr uint64_t kCopyId = 1;
constexpr uint64_t kFillId = 2;

}  // namespace

StepCosts::StepCosts(const vk::DeviceInfo& info, uint64_t library, std::span<const std::byte> blob)
    : info_(info), library_(library) {
    // The envelope of the pipeline cache serves here too: the same device, driver and modules, and undamaged.
    const std::span<const std::byte> payload = vk::unwrapPipelineCache(info_, contentsId(library_), blob);
    tookBlob_ = payload.data() != nullptr;
    if (payload.size() % sizeof(CostEntry) != 0 || payload.size() / sizeof(CostEntry) > kMostEntries) return;
    for (size_t at = 0; at < payload.size(); at += sizeof(CostEntry)) {
        CostEntry entry{};
        std::memcpy(&entry, payload.data() + at, sizeof entry);
        const auto sane = [](double value) { return value >= 0 && value < 1e12; };
        if (!sane(entry.meanNs) || !sane(entry.deviationNs) || !sane(entry.weight)) continue;
        costs_[{entry.pipeline, entry.range, entry.groups}] = {
            entry.meanNs, entry.deviationNs, entry.weight,
            static_cast<uint32_t>(std::min<uint64_t>(entry.samples, kSettledSamples))};
    }
}

void StepCosts::judge(bool withinBudget) {
    margin_ *= withinBudget ? std::pow(kMarginGrowth, -1 / kSlicesOfGrowth) : kMarginGrowth;
    margin_ = std::clamp(margin_, kLeastMargin, kMostMargin);
}

void StepCosts::observeTogether(size_t commands, double estimatesNs, double timeNs) {
    if (commands < kCommandsOfComparison) return;
    mark_.add(std::max(estimatesNs - timeNs, 0.0) / static_cast<double>(commands - 1), 1);
}

uint64_t StepCosts::contentsId(uint64_t library) {
    return ~(library + sizeof(CostEntry));
}

std::vector<std::byte> StepCosts::blob() const {
    std::vector<std::byte> payload;
    for (const auto& [key, cost] : costs_) {
        if (payload.size() / sizeof(CostEntry) == kMostEntries) break;
        const CostEntry entry{key.pipeline,     key.range,   key.groups,  cost.meanNs,
                              cost.deviationNs, cost.weight, cost.samples};
        const auto* bytes = reinterpret_cast<const std::byte*>(&entry);
        payload.insert(payload.end(), bytes, bytes + sizeof entry);
    }
    return vk::wrapPipelineCache(info_, contentsId(library_), payload);
}

void StepCosts::Cost::add(double timeNs, double groups) {
    // The first samples count fully, then older ones fade; what takes longer than thought is believed sooner.
    const bool settled = samples >= kSettledSamples;
    if (settled) timeNs = std::min(timeNs, std::max(kOutlier * meanNs, kClockNs));
    weight = (settled ? weight * kFading : weight) + groups;
    const double share = std::min(1.0, groups / weight * (settled && timeNs > meanNs ? 2 : 1));
    const double away = std::fabs(timeNs - meanNs);
    deviationNs = samples == 0 ? timeNs * 0.25 : deviationNs + share * (away - deviationNs);
    meanNs += share * (timeNs - meanNs);
    if (!settled) ++samples;
}

StepCosts::Key StepCosts::keyOf(const vk::CommandList::Command& command, uint64_t groups) {
    const uint64_t id = command.kind == vk::CommandList::Kind::Dispatch ? command.pipeline->id
                        : command.kind == vk::CommandList::Kind::Copy   ? kCopyId
                                                                        : kFillId;
    // The range of a key-value cache grows with each token; exactly kept, its attention would be new every time.
    return {id, std::bit_ceil(command.longestRange()), groups};
}

const StepCosts::Cost* StepCosts::find(const Key& key) const {
    const auto found = costs_.find(key);
    return found == costs_.end() ? nullptr : &found->second;
}

std::optional<double> StepCosts::estimateNs(const vk::CommandList::Command& command, uint64_t groups) const {
    if (const Cost* whole = find(keyOf(command, groups))) return whole->meanNs + whole->deviationNs;
    if (const Cost* one = find(keyOf(command, 0))) {
        return (one->meanNs + one->deviationNs) * static_cast<double>(groups);
    }
    return std::nullopt;
}

bool StepCosts::settled(const vk::CommandList::Command& command, uint64_t groups) const {
    const Cost* cost = find(keyOf(command, groups));
    if (cost == nullptr) cost = find(keyOf(command, 0));
    return cost != nullptr && cost->samples >= kSettledSamples;
}

void StepCosts::observe(const vk::CommandList::Command& command, uint64_t groups, double timeNs) {
    // Parts come in many sizes; only whole commands are remembered by their size.
    if (groups == command.groupCount()) costs_[keyOf(command, groups)].add(timeNs, 1);
    costs_[keyOf(command, 0)].add(timeNs / static_cast<double>(groups), static_cast<double>(groups));
}

}  // namespace vulcat::model
