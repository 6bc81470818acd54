#include "vk/check.h"
