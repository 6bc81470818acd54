#include "vk/hazards.h"
