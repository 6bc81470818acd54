#include "vk/pipeline_library.h"
