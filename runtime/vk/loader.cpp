#include "vk/loader.h"

#include "base/error.h"

#include <dlfcn.h>

namespace vulcat::vk {

Loader::Loader() {
    library_ = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) library_ = dlopen("libvulkan.so", RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) {
        throw Error(Result::NoDevice,
                    "the Vulkan loader libvulkan.so.1 is not installed (Debian: apt-get install libvulkan1 "
                    "mesa-vulkan-drivers)");
    }
    getInstanceProcAddr_ = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library_, "vkGetInstanceProcAddr"));
    if (getInstanceProcAddr_ == nullptr) {
        dlclose(library_);
        throw Error(Result::NoDevice, "libvulkan.so.1 has no vkGetInstanceProcAddr: reinstall the Vulkan loader");
    }
}

Loader::Loader(PFN_vkGetInstanceProcAddr getInstanceProcAddr) : getInstanceProcAddr_(getInstanceProcAddr) {}

Loader::~Loader() {
    if (library_ != nullptr) dlclose(library_);
}

}  // namespace vulcat::vk
