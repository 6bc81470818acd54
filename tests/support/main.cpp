// doctest's main for every test program; says at the end what was skipped, so that a skip is never silent.

#define DOCTEST_CONFIG_IMPLEMENT
#include "support/shared_data.h"

#include <doctest/doctest.h>

#include <cstdio>

#ifdef __SANITIZE_ADDRESS__
#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

// The validation layer of 1.3.239 loses some of its own bookkeeping for each buffer, and all of it for a device or an
// instance whose creation fails below it. A Vulkan object that we forget is reported by the layer itself, so nothing of
// ours hides behind this.
extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:libVkLayer_khronos_validation.so\n";
}

namespace {

/// Drivers and the validation layer keep a few allocations in their globals; LeakSanitizer sees that they are reachable
/// only while the library stays.
void keepDriversLoaded() {
    const char* manifests = std::getenv("VK_ICD_FILENAMES");
    const std::string_view drivers = manifests != nullptr ? manifests : "";
    if (drivers.empty()) return;
    dlopen("libVkLayer_khronos_validation.so", RTLD_LAZY | RTLD_NODELETE);
    if (drivers.find("lvp") != drivers.npos) dlopen("libvulkan_lvp.so", RTLD_LAZY | RTLD_NODELETE);
    if (drivers.find("swiftshader") != drivers.npos)
        dlopen("/usr/lib/chromium/libvk_swiftshader.so", RTLD_LAZY | RTLD_NODELETE);
}

}  // namespace
#else
namespace {
void keepDriversLoaded() {}
}  // namespace
#endif

#ifdef __SANITIZE_THREAD__
// Threads of the software drivers meet by means that were compiled without the sanitizer, which therefore does not see
// them. Accesses of vulcat's own code, in calls that no driver made, are still reported.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
    return "race:libvk_swiftshader.so\nrace:libvulkan_lvp.so\n";
}
#endif

int main(int argc, char** argv) {
    keepDriversLoaded();
    doctest::Context context(argc, argv);
    const int result = context.run();
    if (const int skips = vulcat::test::skipCount(); skips > 0) std::printf("SKIPPED: %d test cases\n", skips);
    return result;
}
