#include "vk/dispatch.h"
