// How well slices keep a budget, and that they change nothing.
//
// A slice is late when the device took longer for it than the budget and its own shortest dispatch together. On a
// software driver the device is threads of this process, and on a shared machine those wait for a core while others
// run, for milliseconds at a time; that says nothing about the slices. So the kernel's own account is kept beside: how
// long the threads of this process were ready but not running during a step (/proc/self/task/*/schedstat), and whether
// the hypervisor took a core away (/proc/stat). Steps during which they waited for more than a tenth of the budget are
// counted as disturbed. Both shares are printed, of all slices and of the undisturbed ones; the bar of 99 % is for the
// latter, and is asserted in the long run alone, as no test of ours depends on time.
//
// VULCAT_TEST_LONG=1    1,000 steps in which slices ended for each budget instead of 20
// VULCAT_TEST_MODEL     another model's folder instead of the bundled one
#include "vulcat.hpp"

#include "support/shared_data.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

void good(const vulcat::Context& context, VulcatResult result) {
    const std::string text = result == VULCAT_SUCCESS ? "" : vulcatContextErrorText(context.handle());
    REQUIRE_MESSAGE(result == VULCAT_SUCCESS, text);
}

/// What the other threads of this process and the machine lost, since the process began.
struct Losses {
    double waitedUs = 0;
    unsigned long long stolenTicks = 0;

    static Losses now() {
        Losses losses;
#if defined(__linux__)
        const std::string self = std::to_string(syscall(SYS_gettid));
        for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
            if (entry.path().filename() == self) continue;
            std::ifstream file(entry.path() / "schedstat");
            double ran = 0, waited = 0;
            if (file >> ran >> waited) losses.waitedUs += waited / 1000;
        }
        std::ifstream stat("/proc/stat");
        std::string word;
        stat >> word;
        for (int i = 0; i < 8; ++i) stat >> losses.stolenTicks;  // user nice system idle iowait irq softirq steal
#endif
        return losses;
    }
    bool disturbed(const Losses& since, uint32_t budgetUs) const {
        return waitedUs - since.waitedUs > budgetUs * 0.1 || stolenTicks != since.stolenTicks;
    }
};

struct Count {
    uint64_t slices = 0, late = 0;
    void add(const VulcatStep& step) {
        slices += step.slices;
        late += step.overBudget;
    }
    double within() const {
        return slices == 0 ? 100.0 : 100.0 * static_cast<double>(slices - late) / static_cast<double>(slices);
    }
};

struct Outcome {
    Count all, undisturbed;
    std::vector<int32_t> tokens;
};

/// Greedy tokens after the prompt until `steps` steps are done, from the start again when the context is full.
class Storyteller {
  public:
    Storyteller(const vulcat::Context& context, vulcat::Session& session, std::vector<int32_t> prompt)
        : context_(context), session_(session), prompt_(std::move(prompt)) {}

    Outcome run(uint32_t budgetUs, size_t steps) {
        Outcome outcome;
        session_.reset();
        size_t done = stepThrough(prompt_, budgetUs, outcome);
        while (done < steps || outcome.tokens.empty()) {
            if (session_.position() == kContext) {
                session_.reset();
                done += stepThrough(prompt_, budgetUs, outcome);
                continue;
            }
            outcome.tokens.push_back(session_.sample());
            done += stepThrough({outcome.tokens.back()}, budgetUs, outcome);
        }
        return outcome;
    }
    /// The same without slices, as many tokens.
    std::vector<int32_t> whole(size_t count) {
        std::vector<int32_t> tokens;
        session_.reset();
        session_.append(prompt_);
        while (tokens.size() < count) {
            if (session_.position() == kContext) {
                session_.reset();
                session_.append(prompt_);
            }
            tokens.push_back(session_.sample());
            session_.append({tokens.back()});
        }
        return tokens;
    }
    static constexpr uint32_t kContext = 256;

  private:
    size_t stepThrough(const std::vector<int32_t>& tokens, uint32_t budgetUs, Outcome& outcome) {
        good(context_, vulcatSessionQueue(session_.handle(), tokens.data(), tokens.size()));
        VulcatStep step{};
        step.structSize = sizeof step;
        size_t steps = 0;
        Losses before = Losses::now();
        while (step.done == 0) {
            good(context_, vulcatSessionStep(session_.handle(), budgetUs, &step));
            if (step.slices == 0) {  // still running, in graphics mode: a frame goes by
                std::this_thread::sleep_for(std::chrono::microseconds(200));
                continue;
            }
            ++steps;
            const Losses after = Losses::now();
            outcome.all.add(step);
            if (!after.disturbed(before, budgetUs)) outcome.undisturbed.add(step);
            before = after;
        }
        return steps;
    }

    const vulcat::Context& context_;
    vulcat::Session& session_;
    std::vector<int32_t> prompt_;
};

}  // namespace

TEST_CASE("slices end within their budget and give the tokens of unsliced passes") {
    const bool longRun = std::getenv("VULCAT_TEST_LONG") != nullptr;
    const char* other = std::getenv("VULCAT_TEST_MODEL");
    const size_t steps = longRun ? 1000 : 20;
    vulcat::Context context;
    vulcat::Model model(context, other != nullptr ? std::string(other) : vulcat::test::storyModel().string());
    vulcat::Session session(model, Storyteller::kContext);
    std::vector<int32_t> prompt = model.tokenize("Once upon a time, there was a little dog named Tim.", true);
    for (int32_t id = 5; longRun && prompt.size() < 48; ++id) prompt.push_back(id);
    Storyteller teller(context, session, prompt);
    std::vector<int32_t> whole;
    for (const VulcatMode mode : {VULCAT_MODE_BALANCE, VULCAT_MODE_GRAPHICS}) {
        good(context, vulcatSetMode(context.handle(), mode));
        for (const uint32_t budgetUs : {20000u, 5000u, 2000u, 1000u}) {
            if (!longRun && (budgetUs == 5000 || budgetUs == 1000)) continue;
            const Outcome outcome = teller.run(budgetUs, steps);
            if (whole.size() < outcome.tokens.size()) whole = teller.whole(outcome.tokens.size());
            CHECK(std::equal(outcome.tokens.begin(), outcome.tokens.end(), whole.begin()));
            const Count& all = outcome.all;
            const Count& undisturbed = outcome.undisturbed;
            std::printf("%s, budget %5u us, %zu tokens: %.2f %% of %llu slices within; undisturbed %.2f %% of %llu\n",
                        mode == VULCAT_MODE_BALANCE ? "balance " : "graphics", budgetUs, outcome.tokens.size(),
                        all.within(), static_cast<unsigned long long>(all.slices), undisturbed.within(),
                        static_cast<unsigned long long>(undisturbed.slices));
            std::fflush(stdout);
            const bool enough = undisturbed.slices >= 100;
            if (longRun) CHECK((all.within() >= 99.0 || (enough && undisturbed.within() >= 99.0)));
        }
    }
}

TEST_CASE("dispatches cut into single workgroups give the logits of whole ones") {
    vulcat::Context context;
    vulcat::Model model(context, vulcat::test::storyModel().string());
    vulcat::Session session(model, 64);
    std::vector<int32_t> prompt;
    for (int32_t id = 5; prompt.size() < 18; ++id) prompt.push_back(id);
    session.append(prompt);
    const std::vector<float> whole = session.logits();
    VulcatStep step{};
    step.structSize = sizeof step;
    uint64_t dispatches[2] = {0, 0};
    for (uint64_t& count : dispatches) {  // the first time costs are learned, the second time nothing fits the budget
        session.reset();
        session.queue(prompt);
        do {
            step = session.step(1);
            count += step.dispatches;
        } while (step.done == 0);
        CHECK(session.logits() == whole);
    }
    std::printf("%llu and %llu parts\n", static_cast<unsigned long long>(dispatches[0]),
                static_cast<unsigned long long>(dispatches[1]));
    CHECK(dispatches[1] > 500);
}
