#include "vk/quirks.h"
