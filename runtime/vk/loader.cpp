#include "vk/loader.h"
