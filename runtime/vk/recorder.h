#pragma once
// Records dispatches, copies and fills into a command buffer and places the barriers between them itself.

#include "vk/command_list.h"
#include "vk/descriptor_sets.h"
#include "vk/profiler.h"

#include <array>
#include <chrono>
#include <initializer_list>
#include <map>
#include <span>
#include <tuple>
#include <type_traits>

namespace vulcat::vk {

class SliceTimer;

/// One dispatch of a recording, for people to read.
struct DispatchNote {
    std::string label;
    std::string module;
    std::array<uint32_t, 3> groups{};
    uint64_t readBytes = 0;     ///< of the bound ranges that are read
    uint64_t writtenBytes = 0;  ///< of those that are written
};

/// A reusable command buffer with its descriptor sets and fence. begin() ... end(), then Device::submitAndWait() as
/// often as wanted; begin() again starts over. What a recording names must outlive its last submission. Guarantee:
/// inside one recording every command sees the results of the earlier ones; recordings submitted one after the other do
/// too; after waiting, the host sees all results in mapped memory.
class Recorder {
  public:
    /// Hazards::Unchecked places no barrier between commands: for tests that want to see the validation layer find it.
    explicit Recorder(Device& device, Hazards hazards = Hazards::Tracked);
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    /// Starts a recording in the recorder's own command buffer. Waits for its submission if one is in flight.
    void begin();
    /// Starts a recording in a command buffer of the host, which is in recording state and is ended and submitted by
    /// it. Precondition: the previous recording is no longer in flight. It places barriers at its start and end.
    void begin(VkCommandBuffer foreign);

    /// Runs `groups` workgroups. `push` is exactly the pipeline's push-constant block. `label` names it in the
    /// profiler; empty: the module's name. Throws Error(InvalidArgument) when bindings or push do not fit the pipeline,
    /// a storage view is misaligned or longer than limits().maxStorageRange, a group count is 0 or above
    /// limits().maxWorkgroupCount.
    void dispatch(const Pipeline& pipeline, std::span<const Binding> bindings, std::span<const std::byte> push,
                  std::array<uint32_t, 3> groups, std::string_view label = {});
    /// The same with the push-constant block as a struct of shaders/interface.
    template <typename Push>
    requires std::is_trivially_copyable_v<Push> && std::is_class_v<Push> &&
        (!std::is_convertible_v<Push, std::span<const std::byte>>)void dispatch(const Pipeline& pipeline,
                                                                                std::initializer_list<Binding> bindings,
                                                                                const Push& push,
                                                                                std::array<uint32_t, 3> groups,
                                                                                std::string_view label = {}) {
        dispatch(pipeline, std::span<const Binding>(bindings.begin(), bindings.size()),
                 std::as_bytes(std::span<const Push, 1>(&push, 1)), groups, label);
    }

    /// Copies from.size bytes. Throws Error(InvalidArgument) when the sizes differ.
    void copy(const BufferView& from, const BufferView& to);
    /// Fills a view with a word. Throws Error(InvalidArgument) unless offset and size are multiples of 4.
    void fill(const BufferView& to, uint32_t word);

    /// From here on dispatch(), copy() and fill() go into the list instead, without begin() and unchecked until they
    /// are replayed; null ends it.
    void captureInto(CommandList* list) { captured_ = list; }
    bool captures() const { return captured_ != nullptr; }
    /// Records a captured command.
    void replay(const CommandList::Command& command);
    /// The box of workgroups [base, base + groups) of a captured dispatch. Throws Error(InvalidArgument) for a pipeline
    /// that is not splittable or a box outside of the dispatch.
    void replayPart(const CommandList::Command& command, const std::array<uint32_t, 3>& base,
                    const std::array<uint32_t, 3>& groups);
    /// Notes the time on the device when all recorded so far is done, see SliceTimer.
    void mark(SliceTimer& timer);

    /// Makes all results visible to the host and closes the recording.
    void end();

    /// Times the dispatches of the following recordings, with the profiler's empty one at their end; null stops it. Call
    /// before begin().
    void profileWith(Profiler* profiler) { profiler_ = profiler; }

    /// Appends a note of each dispatch recorded from now on; null stops it.
    void noteDispatches(std::vector<DispatchNote>* notes) { notes_ = notes; }

    uint32_t dispatchCount() const { return dispatchCount_; }  ///< of this recording
    uint32_t barrierCount() const { return barrierCount_; }    ///< between its commands; without those at start and end
    /// What the host spent from begin() to end() of all recordings so far.
    std::chrono::nanoseconds recordingTime() const { return recordingTime_; }

  private:
    friend class Device;
    enum class State { Idle, Recording, Foreign, Ended, Submitted };

    void dispatchFrom(const Pipeline& pipeline, std::span<const Binding> bindings, std::span<const std::byte> push,
                      std::array<uint32_t, 3> base, std::array<uint32_t, 3> groups, std::string_view label);
    void timeEmpty();
    void release() noexcept;
    void startRecording(VkCommandBuffer commands);
    void requireRecording(const char* what) const;
    void checkDispatch(const Pipeline& pipeline, std::span<const Binding> bindings, std::span<const std::byte> push,
                       std::array<uint32_t, 3> groups) const;
    /// A texel view that lives until the next recording begins.
    VkBufferView texelOver(const BufferView& view);
    VkDescriptorSet descriptorSet(const Pipeline& pipeline, std::span<const Binding> bindings);
    void separate(std::span<const Binding> bindings, VkPipelineStageFlagBits stage);
    void note(const Pipeline& pipeline, std::span<const Binding> bindings, std::array<uint32_t, 3> groups,
              std::string_view label);
    void barrier(VkPipelineStageFlags fromStages, VkAccessFlags from, VkPipelineStageFlags toStages, VkAccessFlags to);

    Device& device_;
    Hazards hazards_;
    HazardTracker tracker_;
    State state_ = State::Idle;
    VkCommandPool commandPool_ = VK_NULL_HANDLE;
    VkCommandBuffer own_ = VK_NULL_HANDLE;
    VkCommandBuffer commands_ = VK_NULL_HANDLE;
    VkFence fence_ = VK_NULL_HANDLE;
    DescriptorSets sets_;
    std::vector<VkDescriptorBufferInfo> buffers_;  // scratch of descriptorSet()
    std::vector<VkWriteDescriptorSet> writes_;
    std::map<std::tuple<VkBuffer, VkDeviceSize, VkDeviceSize>, TexelView> texelViews_;
    std::vector<Binding> bindings_;  // of the dispatch being recorded
    Profiler* profiler_ = nullptr;
    CommandList* captured_ = nullptr;
    std::vector<DispatchNote>* notes_ = nullptr;
    VkPipeline bound_ = VK_NULL_HANDLE;
    std::chrono::steady_clock::time_point submittedAt_, begunAt_;
    std::chrono::nanoseconds recordingTime_{0};
    uint32_t dispatchCount_ = 0;
    uint32_t barrierCount_ = 0;
};

}  // namespace vulcat::vk
