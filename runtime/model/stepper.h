#pragma once
// Appends tokens to a session a slice at a time, so that a renderer on the same GPU keeps its frame rate.
//
// A forward pass is captured as a list of commands. A slice is as many of them as fit the budget by what they cost
// before, with a margin that follows how often slices take longer than planned; a dispatch that is longer than the
// budget itself is cut into boxes of workgroups.
// Results are those of Session::forward to the bit: the same kernels in the same order.

#include "model/session.h"
#include "model/step_costs.h"

#include "vk/command_list.h"
#include "vk/slice_timer.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace vulcat::model {

enum class StepMode {
    Balance,   ///< slices one after the other within the budget, nothing in flight on return
    Graphics,  ///< one slice is submitted and left running; none while one runs. Without timestamps on the queue, a slice of
               ///< commands whose cost is not well known yet is waited for, and now and then another
    Compute,   ///< commands are never cut; returns after the submission that used up the budget
};

struct StepReport {
    bool done = false;        ///< everything queued is appended
    float progress = 0;       ///< 0..1 of the tokens queued since the stepper was last idle
    uint32_t slices = 0;      ///< that ended during this step
    uint32_t dispatches = 0;  ///< in them; every part counts
    uint32_t overBudget = 0;  ///< slices longer than the budget and their own shortest command together
    double deviceNs = 0;      ///< of all of them
    double longestNs = 0;     ///< of one
};

/// The session and the costs must outlive it. While it is not idle, nothing else may run in the session.
class Stepper {
  public:
    Stepper(Session& session, StepCosts& costs);

    /// Errors: those of Session::requireRoom; then nothing is queued.
    void queue(std::span<const int32_t> tokens);
    bool idle() const { return waiting_.empty() && !inPass_; }
    /// Budget zero: everything to its end. Errors: DeviceLost, OutOfMemory; then the queue is forgotten and the session
    /// holds what whole passes appended.
    StepReport step(std::chrono::nanoseconds budget, StepMode mode);
    /// The logits after the last token; once after each time that it became idle.
    std::vector<float> takeLogits() { return std::move(logits_); }
    /// Waits for what is in flight and forgets the rest.
    void cancel();

  private:
    /// A command, or a box of its workgroups.
    struct Piece {
        size_t command = 0;
        std::array<uint32_t, 3> base{}, size{};
        bool whole = true;
        uint64_t groups = 1;
        double estimateNs = 0;
    };
    void beginPass();
    void endPass();
    /// Fills pieces_. With `force` at least one piece, whatever it costs.
    void planSlice(double budgetNs, StepMode mode, bool force);
    /// Adds the largest box of at most `units` units that starts at nextUnit_; returns its estimate.
    double addPiece(const vk::CommandList::Command& command, uint64_t units, double unitNs);
    void submitSlice(double budgetNs);
    void collectSlice(StepReport& report);
    void learn(const std::vector<double>& times, double totalNs);
    StepReport finishReport(StepReport report) const;
    StepReport stepOn(double budgetNs, StepMode mode);

    Session& session_;
    StepCosts& costs_;
    vk::Recorder recorder_;
    vk::SliceTimer timer_;
    vk::CommandList list_;
    std::deque<std::vector<int32_t>> waiting_;  // the front one is being worked on
    size_t doneOfFront_ = 0;                    // tokens of it
    std::vector<int32_t> chunk_;                // of the pass
    bool inPass_ = false;
    bool inFlight_ = false;
    bool waitsFor_ = true;  // the slice in flight: this step sees its end
    bool detailed_ = false;
    size_t nextCommand_ = 0;
    uint64_t nextUnit_ = 0;  // of the command that is being cut, see Units
    std::vector<Piece> pieces_;
    double sliceBudgetNs_ = 0;
    double plannedNs_ = 0;  // of pieces_
    std::chrono::steady_clock::time_point submittedAt_;
    uint64_t slices_ = 0;
    size_t queuedTokens_ = 0, doneTokens_ = 0;
    std::vector<float> logits_;
};

}  // namespace vulcat::model
