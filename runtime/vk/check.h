#pragma once
// The only gate between VkResult and vulcat::Error.

#include "base/error.h"
#include "vk/vulkan.h"

#include <string_view>

namespace vulcat::vk {

/// Vulkan's name of a result, "VkResult(<number>)" for one it does not know.
std::string resultName(VkResult result);

/// Throws when `result` is an error (negative), naming `what` was tried:
/// device lost -> Error(DeviceLost), out of host/device memory, pool memory, fragmentation or too many objects ->
/// Error(OutOfMemory), no or incompatible driver -> Error(NoDevice), missing layer, extension, feature or format ->
/// Error(Unsupported), everything else -> Error(Failure). Success codes (VK_TIMEOUT, VK_INCOMPLETE, ...) pass through.
VkResult check(VkResult result, std::string_view what);

}  // namespace vulcat::vk
