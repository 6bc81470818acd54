#include "vk/loader.h"

#include "base/error.h"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace vulcat::vk {

namespace {

// All that differs between systems in opening a library. Only the system's folder is searched on Windows, where the
// loader comes with the graphics driver: a file of this name beside the program is none of it.
#ifdef _WIN32
constexpr const char* kLoaderMissing = "the Vulkan loader vulkan-1.dll is not installed: install the graphics card's driver";

void* openVulkan() {
    return ::LoadLibraryExW(L"vulkan-1.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
}
void closeVulkan(void* library) {
    ::FreeLibrary(static_cast<HMODULE>(library));
}
void* findFunction(void* library, const char* name) {
    return reinterpret_cast<void*>(::GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
#ifdef __APPLE__
constexpr const char* kLoaderMissing = "no Vulkan loader libvulkan.1.dylib and no libMoltenVK.dylib: install the Vulkan SDK";
constexpr const char* kLoaders[] = {"libvulkan.1.dylib", "libvulkan.dylib", "/usr/local/lib/libvulkan.1.dylib", "libMoltenVK.dylib"};
#elif defined(__ANDROID__)
constexpr const char* kLoaderMissing = "this system has no Vulkan loader libvulkan.so";
constexpr const char* kLoaders[] = {"libvulkan.so.1", "libvulkan.so"};
#else
constexpr const char* kLoaderMissing =
    "the Vulkan loader libvulkan.so.1 is not installed (Debian: apt-get install libvulkan1 mesa-vulkan-drivers)";
constexpr const char* kLoaders[] = {"libvulkan.so.1", "libvulkan.so"};
#endif

void* openVulkan() {
    for (const char* name : kLoaders) {
        if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
    }
    return nullptr;
}
void closeVulkan(void* library) {
    dlclose(library);
}
void* findFunction(void* library, const char* name) {
    return dlsym(library, name);
}
#endif

}  // namespace

Loader::Loader() : library_(openVulkan()) {
    if (library_ == nullptr) throw Error(Result::NoDevice, kLoaderMissing);
    getInstanceProcAddr_ = reinterpret_cast<PFN_vkGetInstanceProcAddr>(findFunction(library_, "vkGetInstanceProcAddr"));
    if (getInstanceProcAddr_ == nullptr) {
        closeVulkan(library_);
        throw Error(Result::NoDevice, "the Vulkan loader has no vkGetInstanceProcAddr: reinstall it");
    }
}

Loader::Loader(PFN_vkGetInstanceProcAddr getInstanceProcAddr) : getInstanceProcAddr_(getInstanceProcAddr) {}

Loader::~Loader() {
    if (library_ != nullptr) closeVulkan(library_);
}

}  // namespace vulcat::vk
