#pragma once
// How many processors a process may keep busy. A container is often given a share of a large machine's time rather than some of
// its processors: a thread for each of them would spend that time on waiting.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace vulcat {

/// Processors' worth of time that the control group in `folder` may take; infinity where it has no limit or says nothing.
/// Version 2: "200000 100000" or "max 100000" microseconds in cpu.max; 1: two files, and -1 for no limit.
inline double quotaOfGroup(const std::filesystem::path& folder) {
    double quota = -1, period = 0;
    std::ifstream both(folder / "cpu.max");
    if (both) {
        both >> quota >> period;  // "max" fails and leaves 0
    } else {
        std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
        std::ifstream(folder / "cpu.cfs_period_us") >> period;
    }
    return quota > 0 && period > 0 ? quota / period : std::numeric_limits<double>::infinity();
}

/// Processors' worth of time that this process's control groups may take on Linux, all of those above it considered; infinity
/// without a limit and on other systems. `root`: where /proc and /sys are.
inline double quotaOfProcess(const std::filesystem::path& root = "/") {
    double least = std::numeric_limits<double>::infinity();
    std::ifstream groups(root / "proc/self/cgroup");
    // "0::/path", or with version 1 "4:cpu,cpuacct:/path": a number, controllers and the group.
    for (std::string line; std::getline(groups, line);) {
        const size_t first = line.find(':'), second = line.find(':', first == std::string::npos ? first : first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool unified = controllers == ",,";
        if (!unified && controllers.find(",cpu,") == std::string::npos) continue;
        const auto mounts = unified ? std::vector<std::string_view>{"", "unified"} : std::vector<std::string_view>{"cpu", "cpu,cpuacct"};
        for (const std::string_view mount : mounts) {
            // A container may see its own group as the top, whatever the path says.
            std::filesystem::path path = std::filesystem::path(line.substr(second + 1)).relative_path().lexically_normal();
            for (;; path = path.parent_path()) {
                least = std::min(least, quotaOfGroup(root / "sys/fs/cgroup" / mount / path));
                if (path.empty()) break;
            }
        }
    }
    return least;
}

/// Processors that this process may keep busy, at least 1: those it may run on, or what its control groups' share of time is
/// worth, rounded up, where that is less.
inline uint32_t usableProcessors() {
    const double all = std::max(1u, std::thread::hardware_concurrency());
    return static_cast<uint32_t>(std::max(1.0, std::ceil(std::min(all, quotaOfProcess()))));
}

}  // namespace vulcat
