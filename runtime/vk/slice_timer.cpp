#include "vk/slice_timer.h"

#include "vk/check.h"

namespace vulcat::vk {

SliceTimer::SliceTimer(Device& device, uint32_t marks) : device_(device), capacity_(marks) {
    if (!(device.limits().timestampPeriodNs > 0)) return;
    VkQueryPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = capacity_;
    check(device.dispatch().vkCreateQueryPool(device.handle(), &info, device.allocator(), &pool_),
          "creating a query pool");
}

SliceTimer::~SliceTimer() {
    if (pool_ == VK_NULL_HANDLE || device_.abandoned()) return;
    device_.dispatch().vkDestroyQueryPool(device_.handle(), pool_, device_.allocator());
}

void SliceTimer::mark(VkCommandBuffer commands) {
    if (!works() || room() == 0) return;
    const DeviceDispatch& vk = device_.dispatch();
    if (used_ == 0) vk.vkCmdResetQueryPool(commands, pool_, 0, capacity_);
    vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_, used_++);
}

std::vector<double> SliceTimer::collect() {
    if (used_ < 2) return {};
    std::vector<uint64_t> ticks(used_);
    const VkResult result =
        device_.dispatch().vkGetQueryPoolResults(device_.handle(), pool_, 0, used_, ticks.size() * sizeof(uint64_t),
                                                 ticks.data(), sizeof(uint64_t), VK_QUERY_RESULT_64_BIT);
    if (check(result, "reading timestamps") != VK_SUCCESS) {
        throw Error(Result::Failure, "timestamps are not there yet: collect() comes after waiting for the submission");
    }
    const Limits& limits = device_.limits();
    std::vector<double> times(used_ - 1);
    for (size_t i = 0; i < times.size(); ++i) {
        const uint64_t difference = (ticks[i + 1] - ticks[i]) & limits.timestampMask;
        times[i] = static_cast<double>(difference) * limits.timestampPeriodNs;
    }
    return times;
}

}  // namespace vulcat::vk
