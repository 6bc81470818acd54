#pragma once
// What commands cost on this device, learned by measuring them.

#include "vk/command_list.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace vulcat::model {

/// Two kinds of memory: the time of a whole command (pipeline, longest range it touches, number of workgroups), and the
/// time of one workgroup of such a pipeline, for parts and for other numbers of workgroups. An estimate is the running
/// mean plus the running mean deviation, so that a noisy device is planned for with more caution. A single time far
/// above what is known (another process had the cores) counts as a small multiple of it: only if it comes again is it
/// believed.
class StepCosts {
  public:
    /// `library` names the shader modules the measurements belong to. `blob` is what blob() gave for the same device,
    /// driver and modules; anything else is passed over.
    StepCosts(const vk::DeviceInfo& info, uint64_t library, std::span<const std::byte> blob = {});

    /// Estimated nanoseconds of `groups` workgroups of the command; nothing before the first measurement.
    std::optional<double> estimateNs(const vk::CommandList::Command& command, uint64_t groups) const;
    /// Measured often enough to rely on.
    bool settled(const vk::CommandList::Command& command, uint64_t groups) const;
    void observe(const vk::CommandList::Command& command, uint64_t groups, double timeNs);

    /// Estimates are divided into budgets with this margin. It follows the slices: it grows with each that took longer
    /// than its budget and shrinks with each that did not, so that about one in 250 does, whatever the machine's noise.
    double margin() const { return margin_; }
    void judge(bool withinBudget);

    /// Measuring commands one by one makes some drivers wait after each. This is how much of each measured time that
    /// is, learned from slices that were measured as a whole.
    double markNs() const { return std::max(mark_.meanNs - mark_.deviationNs, 0.0); }
    void observeTogether(size_t commands, double estimatesNs, double timeNs);

    std::vector<std::byte> blob() const;
    /// What the blob's envelope (vk/pipeline_cache.h) names as its contents: these modules, in this layout of entries.
    static uint64_t contentsId(uint64_t library);
    bool tookBlob() const { return tookBlob_; }  ///< the one given to the constructor

  private:
    struct Key {
        uint64_t pipeline = 0;
        uint64_t range = 0;
        uint64_t groups = 0;  ///< 0: one workgroup of any number
        auto operator<=>(const Key&) const = default;
    };
    struct Cost {
        double meanNs = 0;
        double deviationNs = 0;
        double weight = 0;  ///< of what the mean is made of, in workgroups or, for whole commands, times
        uint32_t samples = 0;
        /// A time per workgroup measured over `groups` of them: few count little, as they mostly wait.
        void add(double timeNs, double groups);
    };
    static Key keyOf(const vk::CommandList::Command& command, uint64_t groups);
    const Cost* find(const Key& key) const;

    vk::DeviceInfo info_;
    uint64_t library_;
    std::map<Key, Cost> costs_;
    double margin_ = 1.25;
    Cost mark_;
    bool tookBlob_ = false;
};

}  // namespace vulcat::model
