#include "vk/capabilities.h"
