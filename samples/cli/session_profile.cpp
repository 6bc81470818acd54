#include "cli/session_profile.h"

#include "cli/terminal.h"

#include "kernels/variant.h"
#include "vk/profiler.h"
#include "vk/recorder.h"

#include "shaders/interface/peak.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

namespace vulcat::cli {
namespace {

/// A workgroup of the multiply-adds' yardstick that multiplies nothing: each of its lanes writes a word.
class EmptyDispatch {
  public:
    explicit EmptyDispatch(const layers::Engine& engine)
        : lanes_(kernels::defaultLocalSize(engine.device)), words_(engine.device, uint64_t{lanes_} * 4, vk::MemoryIntent::Device),
          bindings_{vk::write(words_.view())} {
        vk::PipelineSpec spec;
        spec.module = "peak";
        spec.constants = {lanes_, 1};
        spec.pushBytes = sizeof(push_);
        spec.bindings = {vk::BindingKind::Storage};
        pipeline_ = &engine.pipelines.get(spec);
        // Some drivers compile in the first run.
        vk::Recorder recorder(engine.device);
        recorder.begin();
        recorder.dispatch(*pipeline_, bindings_, push(), {1, 1, 1});
        recorder.end();
        engine.device.submitAndWait(recorder);
    }

    void timeIn(vk::Profiler& profiler) const { profiler.timeEmpty(*pipeline_, bindings_, push()); }

  private:
    std::span<const std::byte> push() const { return std::as_bytes(std::span(&push_, 1)); }

    uint32_t lanes_;
    vk::Buffer words_;
    std::vector<vk::Binding> bindings_;
    shaders::PeakPush push_{0, 3};
    const vk::Pipeline* pipeline_ = nullptr;
};

/// While it lives.
class Profiling {
  public:
    Profiling(model::Session& session, vk::Profiler& profiler) : session_(session) { session_.profileWith(&profiler); }
    ~Profiling() { session_.profileWith(nullptr); }
    Profiling(const Profiling&) = delete;
    Profiling& operator=(const Profiling&) = delete;

  private:
    model::Session& session_;
};

using Entry = std::pair<std::string, vk::Profiler::Entry>;

double usEach(const vk::Profiler::Entry& entry) { return entry.count == 0 ? 0 : 1e-3 * entry.totalNs / static_cast<double>(entry.count); }

/// Each kernel, and what no kernel accounts for: recording, submission, waiting, reading back.
void print(const vk::Profiler& profiler, double wallSeconds, const ProfiledWork& work) {
    std::vector<Entry> kernels(profiler.entries().begin(), profiler.entries().end());
    const auto isEmpty = [](const Entry& e) { return e.first == vk::Profiler::kEmpty; };
    const auto found = std::find_if(kernels.begin(), kernels.end(), isEmpty);
    const Entry empty = found != kernels.end() ? *found : Entry{std::string(vk::Profiler::kEmpty), {}};
    std::erase_if(kernels, isEmpty);
    std::sort(kernels.begin(), kernels.end(), [](const Entry& x, const Entry& y) { return x.second.totalNs > y.second.totalNs; });
    const double cost = usEach(empty.second), wallNs = 1e9 * wallSeconds;
    const auto workUs = [&](const Entry& e) { return std::max(usEach(e.second) - cost, 0.0) * static_cast<double>(e.second.count); };
    double totalNs = empty.second.totalNs, allWorkUs = 0;
    for (const Entry& e : kernels) totalNs += e.second.totalNs;
    for (const Entry& e : kernels) allWorkUs += workUs(e);
    Table table({"kernel", "dispatches a token", "us each", "us of work", "us a token", "share of wall time", "share of work"});
    const auto percent = [](double part, double whole) { return fixed(whole > 0 ? 100 * part / whole : 0, 1) + " %"; };
    const auto add = [&](const Entry& e, const std::string& workEach, const std::string& share) {
        table.add({e.first, fixed(static_cast<double>(e.second.count) / work.tokens, 1), fixed(usEach(e.second), 1), workEach,
                   fixed(1e-3 * e.second.totalNs / work.tokens, 1), percent(e.second.totalNs, wallNs), share});
    };
    for (const Entry& e : kernels) add(e, fixed(std::max(usEach(e.second) - cost, 0.0), 1), percent(workUs(e), allWorkUs));
    add(empty, "", "");
    const double outsideNs = std::max(wallNs - totalNs, 0.0);
    table.add({"outside kernels", "", "", "", fixed(1e-3 * outsideNs / work.tokens, 1), percent(outsideNs, wallNs), ""});
    printBeside(table, "Profile of " + work.what + ", with timestamps on:", work.format);
    std::fprintf(work.format == "md" ? stdout : stderr,
                 "\nTimestamps charge each dispatch with what an empty one costs, %.1f us here, measured at the end of each recording; work is "
                 "what a kernel takes beyond that.\n",
                 cost);
}

}  // namespace

void profileSession(const layers::Engine& engine, model::Session& session, const std::function<void()>& run, const ProfiledWork& work) {
    const EmptyDispatch empty(engine);
    vk::Profiler profiler(engine.device);
    empty.timeIn(profiler);
    double wallSeconds = 0;
    {
        const Profiling on(session, profiler);
        const auto begin = std::chrono::steady_clock::now();
        run();
        wallSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    print(profiler, wallSeconds, work);
}

}  // namespace vulcat::cli
