// The share of processor time that control groups of Linux give a process, from folders made up like theirs.

#include "base/processors.h"

#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

using namespace vulcat;

namespace {

void put(const std::filesystem::path& file, std::string_view text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
}

}  // namespace

TEST_CASE("the least share of a process's control groups counts") {
    const test::TempFolder folder;
    const std::filesystem::path root = folder.path(), groups = root / "sys/fs/cgroup";
    CHECK(std::isinf(quotaOfProcess(root)));  // no such files: no Linux
    put(root / "proc/self/cgroup", "0::/user/app");
    CHECK(std::isinf(quotaOfProcess(root)));
    put(groups / "user/app/cpu.max", "max 100000");
    CHECK(std::isinf(quotaOfProcess(root)));
    put(groups / "user/cpu.max", "250000 100000");
    CHECK(quotaOfProcess(root) == 2.5);
    put(groups / "user/app/cpu.max", "50000 100000");
    CHECK(quotaOfProcess(root) == 0.5);
    put(groups / "user/app/cpu.max", "");
    CHECK(quotaOfProcess(root) == 2.5);
}

TEST_CASE("so does one of version 1, and one whose path a container does not see") {
    const test::TempFolder folder;
    const std::filesystem::path root = folder.path(), groups = root / "sys/fs/cgroup";
    put(root / "proc/self/cgroup", "7:memory:/docker/3f\n4:cpu,cpuacct:/docker/3f\nnonsense\n0::/");
    put(groups / "memory/docker/3f/cpu.cfs_quota_us", "1");
    put(groups / "memory/docker/3f/cpu.cfs_period_us", "100000");
    put(groups / "cpu,cpuacct/cpu.cfs_period_us", "100000");
    put(groups / "cpu,cpuacct/cpu.cfs_quota_us", "-1");
    CHECK(std::isinf(quotaOfProcess(root)));
    put(groups / "cpu,cpuacct/cpu.cfs_quota_us", "300000");
    CHECK(quotaOfProcess(root) == 3);
    CHECK(usableProcessors() >= 1);
}
