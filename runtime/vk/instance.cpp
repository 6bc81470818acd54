#include "vk/instance.h"
