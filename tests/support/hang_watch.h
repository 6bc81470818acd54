#pragma once
// Ends the process with a sentence when a piece of work takes longer than it may: a test that hangs says where. Time
// that other processes took does not count: after the limit work is a hang if it has hardly computed (it waits for
// something) or has computed for longer than the limit (it spins).

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>

namespace vulcat::test {

class HangWatch {
  public:
    HangWatch() : thread_([this] { watch(); }) {}
    ~HangWatch() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    HangWatch(const HangWatch&) = delete;
    HangWatch& operator=(const HangWatch&) = delete;

    /// From here until done() is called no more than `limit` may go by.
    void begin(std::string what, std::chrono::steady_clock::duration limit) {
        {
            const std::lock_guard lock(mutex_);
            what_ = std::move(what);
            limit_ = limit;
            begin_ = std::chrono::steady_clock::now();
            end_ = begin_ + limit;
            computedBefore_ = computed();
            watching_ = true;
        }
        changed_.notify_one();
    }
    void done() {
        const std::lock_guard lock(mutex_);
        watching_ = false;
    }

  private:
    using Duration = std::chrono::steady_clock::duration;

    /// By all threads of this process since it began.
    static Duration computed() {
        timespec time{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return std::chrono::duration_cast<Duration>(std::chrono::seconds(time.tv_sec) +
                                                    std::chrono::nanoseconds(time.tv_nsec));
    }

    void watch() {
        std::unique_lock lock(mutex_);
        while (!over_) {
            if (!watching_) {
                changed_.wait(lock);
            } else if (std::chrono::steady_clock::now() < end_) {
                changed_.wait_until(lock, end_);
            } else if (const auto busy = computed() - computedBefore_;
                       busy <= limit_ && busy >= (std::chrono::steady_clock::now() - begin_) / 20) {
                end_ = std::chrono::steady_clock::now() + std::chrono::seconds(1);
            } else {
                std::printf("HANG: %s\n", what_.c_str());
                std::fflush(stdout);
                std::_Exit(1);
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::string what_;
    std::chrono::steady_clock::time_point begin_, end_;
    Duration limit_{}, computedBefore_{};
    bool watching_ = false, over_ = false;
    std::thread thread_;  // last: the others are there when it starts
};

}  // namespace vulcat::test
