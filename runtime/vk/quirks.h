#pragma once
// The one table of driver exceptions. A quirk may only take capabilities away; it never changes a limit or a result.

#include "vk/device_info.h"

namespace vulcat::vk {

/// Removes the capabilities that are broken on this device and driver, and writes one sentence for each to info.quirks.
/// Preconditions: names, ids, versions, capabilities and available of `info` are filled in.
void applyQuirks(DeviceInfo& info);

}  // namespace vulcat::vk
