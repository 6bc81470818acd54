#include "vk/profiler.h"

#include "vk/check.h"

namespace vulcat::vk {

Profiler::Profiler(Device& device, uint32_t maxDispatches) : device_(device), capacity_(maxDispatches) {
    if (!(device.limits().timestampPeriodNs > 0)) {
        throw Error(Result::Unsupported, device.info().name + " has no timestamps on its compute queue");
    }
    VkQueryPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = 2 * capacity_;
    check(device.dispatch().vkCreateQueryPool(device.handle(), &info, device.allocator(), &pool_),
          "creating a query pool");
    labels_.reserve(capacity_);
}

Profiler::~Profiler() {
    if (!device_.abandoned()) device_.dispatch().vkDestroyQueryPool(device_.handle(), pool_, device_.allocator());
}

void Profiler::timeEmpty(const Pipeline& pipeline, std::span<const Binding> bindings,
                         std::span<const std::byte> push) {
    empty_.clear();
    empty_.addDispatch(pipeline, bindings, push, {1, 1, 1});
}

void Profiler::begin(VkCommandBuffer commands) {
    labels_.clear();
    open_ = false;
    device_.dispatch().vkCmdResetQueryPool(commands, pool_, 0, 2 * capacity_);
}

void Profiler::before(VkCommandBuffer commands, std::string_view label) {
    open_ = labels_.size() < capacity_;
    if (!open_) {
        ++dropped_;
        return;
    }
    // Bottom of pipe on both sides: from "all earlier work is done" to "this is done".
    device_.dispatch().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_,
                                           static_cast<uint32_t>(2 * labels_.size()));
    labels_.emplace_back(label);
}

void Profiler::after(VkCommandBuffer commands) {
    if (!open_) return;
    device_.dispatch().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_,
                                           static_cast<uint32_t>(2 * labels_.size() - 1));
}

void Profiler::collect() {
    if (labels_.empty()) return;
    std::vector<uint64_t> ticks(2 * labels_.size());
    const VkResult result = device_.dispatch().vkGetQueryPoolResults(
        device_.handle(), pool_, 0, static_cast<uint32_t>(ticks.size()), ticks.size() * sizeof(uint64_t), ticks.data(),
        sizeof(uint64_t), VK_QUERY_RESULT_64_BIT);
    if (check(result, "reading timestamps") != VK_SUCCESS) {
        throw Error(Result::Failure, "timestamps are not there yet: collect() comes after waiting for the submission");
    }
    const Limits& limits = device_.limits();
    for (size_t i = 0; i < labels_.size(); ++i) {
        const uint64_t difference = (ticks[2 * i + 1] - ticks[2 * i]) & limits.timestampMask;
        Entry& entry = entries_[labels_[i]];
        ++entry.count;
        entry.totalNs += static_cast<double>(difference) * limits.timestampPeriodNs;
    }
}

void Profiler::clear() {
    entries_.clear();
    dropped_ = 0;
}

}  // namespace vulcat::vk
