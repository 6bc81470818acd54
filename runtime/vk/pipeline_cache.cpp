#include "vk/pipeline_cache.h"
