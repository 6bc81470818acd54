#include "vk/limits.h"
