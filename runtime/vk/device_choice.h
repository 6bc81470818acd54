#pragma once
// Which device to use, from what the user wrote, and the reason in words.

#include "vk/device_info.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::vk {

struct DeviceChoice {
    size_t position = 0;               ///< into the devices given
    std::vector<std::string> reasons;  ///< one for each device: why it was or was not chosen
};

/// `selection` is "auto" or empty; an index (digits only); a UUID (32 hexadecimal digits, dashes ignored); else a part of
/// the name, case ignored. auto: discrete before integrated before virtual before CPU, then the larger device heap,
/// then the lower index; unusable devices are passed over. A device listed twice (two drivers, one UUID) counts as one
/// for a UUID or name: the first usable one.
/// Throws Error(NoDevice) when nothing usable is there or the selected one is unusable or not there, and
/// Error(InvalidArgument) when a name fits several different devices; the message lists what there is.
DeviceChoice chooseDevice(std::span<const DeviceInfo> devices, std::string_view selection);

}  // namespace vulcat::vk
