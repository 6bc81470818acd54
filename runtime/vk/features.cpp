#include "vk/device_info.h"
