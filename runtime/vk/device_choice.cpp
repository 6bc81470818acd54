#include "vk/device_choice.h"
