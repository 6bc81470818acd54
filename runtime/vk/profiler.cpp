#include "vk/profiler.h"
