#pragma once
// The Vulkan headers as this floor uses them: types only. Functions are reached through the tables in vk/dispatch.h.

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>

#include "vk/khr_compat.h"
