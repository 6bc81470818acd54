#include "calibrate/parallel.h"

#include "base/processors.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace vulcat::calibrate {

int threadCount(int wanted) {
    return wanted > 0 ? wanted : static_cast<int>(usableProcessors());
}

void parallelFor(size_t count, int threads, const std::function<void(size_t)>& work) {
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::exception_ptr failure;
    size_t failedItem = std::numeric_limits<size_t>::max();
    const auto run = [&] {
        for (size_t i = next++; i < count; i = next++) {
            try {
                work(i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (i < failedItem) {
                    failedItem = i;
                    failure = std::current_exception();
                }
                next = count;
            }
        }
    };
    std::vector<std::jthread> others;
    const size_t helpers = std::min(count, static_cast<size_t>(std::max(threads, 1)));
    for (size_t t = 1; t < helpers; ++t) others.emplace_back(run);
    run();
    others.clear();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace vulcat::calibrate
