#include "vk/recorder.h"
