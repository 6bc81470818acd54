#include "vk/transfer.h"
