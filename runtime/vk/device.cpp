#include "vk/device.h"
