#include "model/stepper.h"

#include "base/error.h"

#include <algorithm>
#include <limits>

namespace vulcat::model {
namespace {

using Command = vk::CommandList::Command;

constexpr double kUnlimited = std::numeric_limits<double>::infinity();
/// However large the budget, no submission is planned to be longer: systems stop what runs for seconds.
constexpr double kLongestSliceNs = 100e6;
/// What is left of a budget below this share starts no further submission.
constexpr double kLeastShare = 0.25;
/// However much of a command's time was the mark behind it, this is its own.
constexpr double kLeastOfEstimate = 0.2;
/// Every so many slices all commands are timed one by one, also when their costs are known.
constexpr uint64_t kDetailedEvery = 8;

/// How a dispatch is cut: its two longest dimensions make a grid of units, row after row; a unit is as many workgroups
/// as the third dimension has.
struct Units {
    size_t row, column, rest;
    uint64_t ofRow, count, groups;  // units of a row, of the dispatch; workgroups of a unit

    explicit Units(const Command& command) {
        std::array<size_t, 3> axes{0, 1, 2};
        std::stable_sort(axes.begin(), axes.end(),
                         [&](size_t a, size_t b) { return command.groups[a] > command.groups[b]; });
        row = axes[0];
        column = axes[1];
        rest = axes[2];
        ofRow = command.groups[column];
        count = command.groups[row] * ofRow;
        groups = command.groups[rest];
    }
};

bool canBeCut(const Command& command) {
    return command.kind == vk::CommandList::Kind::Dispatch && command.pipeline->splittable;
}

}  // namespace

Stepper::Stepper(Session& session, StepCosts& costs)
    : session_(session),
      costs_(costs),
      recorder_(session.model().engine().device),
      timer_(session.model().engine().device) {}

void Stepper::queue(std::span<const int32_t> tokens) {
    size_t queued = 0;
    for (const auto& part : waiting_) queued += part.size();
    session_.requireRoom(tokens, queued - doneOfFront_);
    if (idle()) queuedTokens_ = doneTokens_ = 0;
    waiting_.emplace_back(tokens.begin(), tokens.end());
    queuedTokens_ += tokens.size();
}

StepReport Stepper::step(std::chrono::nanoseconds budget, StepMode mode) {
    try {
        return stepOn(budget.count() <= 0 ? kUnlimited : static_cast<double>(budget.count()), mode);
    } catch (...) {
        waiting_.clear();
        doneOfFront_ = 0;
        inPass_ = inFlight_ = false;
        throw;
    }
}

StepReport Stepper::stepOn(double budgetNs, StepMode mode) {
    vk::Device& device = session_.model().engine().device;
    StepReport report;
    const bool leave = mode == StepMode::Graphics && budgetNs != kUnlimited;
    double left = budgetNs;
    bool first = true;
    while (true) {
        if (inFlight_) {
            if (leave && !waitsFor_ && !device.finished(recorder_)) return finishReport(report);
            device.wait(recorder_);
            collectSlice(report);
            if (inPass_ && nextCommand_ == list_.size()) endPass();
        }
        if (idle()) return finishReport(report);
        if (!inPass_) beginPass();
        left = budgetNs - report.deviceNs;
        if (!leave && !first && left < budgetNs * kLeastShare) return finishReport(report);
        planSlice(std::min(left, kLongestSliceNs), mode, first || budgetNs == kUnlimited);
        if (pieces_.empty()) return finishReport(report);
        submitSlice(first ? budgetNs : left);
        first = false;
        // Without timestamps a slice that ends while the host is elsewhere tells nothing: those to learn from are waited for.
        waitsFor_ = !leave || (!timer_.works() && detailed_);
        if (!waitsFor_) return finishReport(report);
    }
}

void Stepper::beginPass() {
    const std::vector<int32_t>& front = waiting_.front();
    const size_t count = std::min<size_t>(session_.chunkRows(), front.size() - doneOfFront_);
    chunk_.assign(front.begin() + static_cast<std::ptrdiff_t>(doneOfFront_),
                  front.begin() + static_cast<std::ptrdiff_t>(doneOfFront_ + count));
    const bool last = doneOfFront_ + count == front.size() && waiting_.size() == 1;
    list_.clear();
    session_.capture(chunk_, last, list_);
    nextCommand_ = 0;
    nextUnit_ = 0;
    logits_.clear();
    inPass_ = true;
}

void Stepper::endPass() {
    const bool last = doneOfFront_ + chunk_.size() == waiting_.front().size();
    session_.commit(chunk_);
    doneTokens_ += chunk_.size();
    doneOfFront_ += chunk_.size();
    inPass_ = false;
    if (!last) return;
    waiting_.pop_front();
    doneOfFront_ = 0;
    if (waiting_.empty()) logits_ = session_.capturedLogits();
}

double Stepper::addPiece(const Command& command, uint64_t units, double unitNs) {
    const Units all(command);
    const uint64_t column = nextUnit_ % all.ofRow;
    Piece piece;
    piece.command = nextCommand_;
    piece.size = command.groups;
    piece.base[all.row] = static_cast<uint32_t>(nextUnit_ / all.ofRow);
    if (column == 0 && units >= all.ofRow) {
        piece.size[all.row] = static_cast<uint32_t>(units / all.ofRow);
        units = piece.size[all.row] * all.ofRow;
    } else {
        units = std::min(units, all.ofRow - column);
        piece.base[all.column] = static_cast<uint32_t>(column);
        piece.size[all.row] = 1;
        piece.size[all.column] = static_cast<uint32_t>(units);
    }
    piece.whole = units == all.count;
    piece.groups = units * all.groups;
    piece.estimateNs = unitNs * static_cast<double>(units);
    pieces_.push_back(piece);
    nextUnit_ += units;
    if (nextUnit_ == all.count) {
        ++nextCommand_;
        nextUnit_ = 0;
    }
    return piece.estimateNs;
}

void Stepper::planSlice(double budgetNs, StepMode mode, bool force) {
    constexpr size_t kMostPieces = 1000;  // the timer has a mark for each
    pieces_.clear();
    detailed_ = slices_ % kDetailedEvery == 0;
    const double planned = budgetNs / costs_.margin();
    plannedNs_ = detailed_ ? 0 : costs_.markNs();
    const auto add = [&](const Command& command, uint64_t units, double unitNs) {
        const double estimate = addPiece(command, units, unitNs);
        plannedNs_ += detailed_ ? estimate : std::max(estimate - costs_.markNs(), kLeastOfEstimate * estimate);
    };
    while (nextCommand_ < list_.size() && pieces_.size() < kMostPieces) {
        const Command command = list_[nextCommand_];
        const Units units(command);
        const uint64_t left = units.count - nextUnit_;
        const bool cut = mode != StepMode::Compute && canBeCut(command) && left > 1;
        const bool mustStart = pieces_.empty() && force;
        const auto estimate = costs_.estimateNs(command, units.groups * left);
        if (!detailed_ && !costs_.settled(command, units.groups * left)) {
            if (!pieces_.empty()) return;
            detailed_ = true;
            plannedNs_ = 0;
        }
        if (!estimate) {
            // Of unknown cost: alone, and begun with as little of it as there is.
            if (mustStart) add(command, cut ? units.ofRow : left, 0);
            return;
        }
        const double unitNs = *estimate / static_cast<double>(left);
        const double free = planned - plannedNs_ + (detailed_ ? 0 : costs_.markNs());
        if (*estimate <= free) {
            add(command, left, unitNs);
            continue;
        }
        const auto fitting = static_cast<uint64_t>(std::clamp(free / unitNs, 0.0, static_cast<double>(left - 1)));
        // What would fit a slice of its own is left whole for the next one.
        if (cut && fitting > 0 && (pieces_.empty() || *estimate > planned)) {
            add(command, fitting, unitNs);
        } else if (mustStart) {
            add(command, cut ? 1 : left, unitNs);
        }
        return;
    }
}

void Stepper::submitSlice(double budgetNs) {
    ++slices_;
    recorder_.begin();
    timer_.restart();
    recorder_.mark(timer_);
    for (const Piece& piece : pieces_) {
        const Command command = list_[piece.command];
        if (piece.whole) {
            recorder_.replay(command);
        } else {
            recorder_.replayPart(command, piece.base, piece.size);
        }
        if (detailed_) recorder_.mark(timer_);
    }
    if (!detailed_) recorder_.mark(timer_);
    recorder_.end();
    sliceBudgetNs_ = budgetNs;
    submittedAt_ = std::chrono::steady_clock::now();
    session_.model().engine().device.submit(recorder_);
    inFlight_ = true;
}

void Stepper::collectSlice(StepReport& report) {
    inFlight_ = false;
    const std::vector<double> times = timer_.collect();
    double total = 0;
    for (double time : times) total += time;
    const bool seen = timer_.works() || waitsFor_;
    if (!timer_.works() && seen) {
        // No timestamps: the host's clock, which includes the way there and back.
        const auto elapsed = std::chrono::steady_clock::now() - submittedAt_;
        total = static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
    }
    if (seen) learn(times, total);
    double shortest = kUnlimited;
    double sum = 0;
    bool known = seen;
    for (const Piece& piece : pieces_) {
        shortest = std::min(shortest, piece.estimateNs);
        sum += piece.estimateNs;
        known = known && piece.estimateNs > 0;
    }
    if (!seen) total = sum;  // it ended some time before this step
    ++report.slices;
    report.dispatches += static_cast<uint32_t>(pieces_.size());
    report.deviceNs += total;
    report.longestNs = std::max(report.longestNs, total);
    if (total > sliceBudgetNs_ + shortest) ++report.overBudget;
    if (!known) return;
    // A slice that could not have been made shorter says nothing about the margin; nor does one without a budget.
    if (sliceBudgetNs_ != kUnlimited && plannedNs_ <= sliceBudgetNs_) costs_.judge(total <= sliceBudgetNs_);
    if (!detailed_) costs_.observeTogether(pieces_.size(), sum, total);
}

void Stepper::learn(const std::vector<double>& times, double totalNs) {
    if (times.size() == pieces_.size()) {
        for (size_t i = 0; i < pieces_.size(); ++i) {
            costs_.observe(list_[pieces_[i].command], pieces_[i].groups, times[i]);
        }
        return;
    }
    if (timer_.works()) return;  // a slice of known commands was timed as a whole, for the report
    double estimated = 0;
    for (const Piece& piece : pieces_) estimated += piece.estimateNs;
    for (const Piece& piece : pieces_) {
        const double share = estimated > 0 ? piece.estimateNs / estimated : 1.0 / static_cast<double>(pieces_.size());
        costs_.observe(list_[piece.command], piece.groups, totalNs * share);
    }
}

StepReport Stepper::finishReport(StepReport report) const {
    report.done = idle();
    double tokens = static_cast<double>(doneTokens_);
    if (inPass_ && !list_.empty()) {
        tokens +=
            static_cast<double>(chunk_.size()) * static_cast<double>(nextCommand_) / static_cast<double>(list_.size());
    }
    report.progress = queuedTokens_ == 0 ? 1.0f : static_cast<float>(tokens / static_cast<double>(queuedTokens_));
    return report;
}

void Stepper::cancel() {
    waiting_.clear();
    doneOfFront_ = 0;
    inPass_ = false;
    if (!inFlight_) return;
    inFlight_ = false;
    session_.model().engine().device.wait(recorder_);
}

}  // namespace vulcat::model
