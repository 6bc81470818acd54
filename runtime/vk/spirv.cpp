#include "vk/spirv.h"
