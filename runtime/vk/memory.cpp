#include "vk/memory.h"
