#include "vk/device_choice.h"

#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <tuple>

namespace vulcat::vk {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

int rankOf(DeviceType type) {
    switch (type) {
        case DeviceType::Discrete:
            return 0;
        case DeviceType::Integrated:
            return 1;
        case DeviceType::Virtual:
            return 2;
        case DeviceType::Cpu:
            return 4;
        case DeviceType::Other:
            break;
    }
    return 3;
}

std::string listOf(std::span<const DeviceInfo> devices) {
    std::string text;
    for (const DeviceInfo& device : devices) {
        text += (text.empty() ? "" : ", ") + std::to_string(device.index) + ": " + device.name;
    }
    return text.empty() ? "there is no Vulkan device (install a driver; Debian: mesa-vulkan-drivers)"
                        : "there are " + text;
}

/// A driver on top of another interface shows the device of the native one once more, and slower.
bool isTranslated(const DeviceInfo& device) {
    return device.driverId == VK_DRIVER_ID_MESA_DOZEN;
}

[[noreturn]] void reject(Result code, std::string_view selection, const std::string& what,
                         std::span<const DeviceInfo> devices) {
    throw Error(code, "device \"" + std::string(selection) + "\": " + what + "; " + listOf(devices));
}

bool isDigits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// The 32 hexadecimal digits of a UUID, nothing when `text` is none.
std::optional<std::string> uuidDigits(std::string_view text) {
    std::string digits;
    for (char c : text) {
        if (c == '-') continue;
        const char l = lower(c);
        if (!((l >= '0' && l <= '9') || (l >= 'a' && l <= 'f'))) return std::nullopt;
        digits += l;
    }
    return digits.size() == 32 ? std::optional(digits) : std::nullopt;
}

size_t chooseBest(std::span<const DeviceInfo> devices, std::string_view selection) {
    std::optional<size_t> best;
    const auto order = [&](size_t i) {
        return std::tuple(rankOf(devices[i].type), isTranslated(devices[i]), ~devices[i].limits.heapBytes, devices[i].index);
    };
    for (size_t i = 0; i < devices.size(); ++i) {
        if (devices[i].usable() && (!best || order(i) < order(*best))) best = i;
    }
    if (!best) reject(Result::NoDevice, selection.empty() ? "auto" : selection, "no usable Vulkan device", devices);
    return *best;
}

size_t chooseIndex(std::span<const DeviceInfo> devices, std::string_view selection) {
    uint32_t index = 0;
    const auto parsed = std::from_chars(selection.data(), selection.data() + selection.size(), index);
    for (size_t i = 0; parsed.ec == std::errc() && i < devices.size(); ++i) {
        if (devices[i].index == index) return i;
    }
    reject(Result::NoDevice, selection, "no device has this index", devices);
}

/// Among several hits the first usable one, if they all are the same device.
size_t chooseAmong(std::span<const DeviceInfo> devices, std::string_view selection, const std::vector<size_t>& hits) {
    if (hits.empty()) reject(Result::NoDevice, selection, "no device has this UUID or a name with this part", devices);
    const bool same =
        std::all_of(hits.begin(), hits.end(), [&](size_t i) { return devices[i].uuid == devices[hits[0]].uuid; });
    if (!same) reject(Result::InvalidArgument, selection, "the name fits several devices, say the index", devices);
    const auto usable = std::find_if(hits.begin(), hits.end(), [&](size_t i) { return devices[i].usable(); });
    return usable == hits.end() ? hits.front() : *usable;
}

size_t position(std::span<const DeviceInfo> devices, std::string_view selection) {
    const std::string wanted = lowered(selection);
    if (wanted.empty() || wanted == "auto") return chooseBest(devices, selection);
    if (const auto digits = uuidDigits(selection)) {
        std::vector<size_t> hits;
        for (size_t i = 0; i < devices.size(); ++i) {
            if (uuidDigits(devices[i].uuidText()) == digits) hits.push_back(i);
        }
        return chooseAmong(devices, selection, hits);
    }
    if (isDigits(selection)) return chooseIndex(devices, selection);
    std::vector<size_t> hits;
    for (size_t i = 0; i < devices.size(); ++i) {
        if (lowered(devices[i].name).find(wanted) != std::string::npos) hits.push_back(i);
    }
    return chooseAmong(devices, selection, hits);
}

}  // namespace

DeviceChoice chooseDevice(std::span<const DeviceInfo> devices, std::string_view selection) {
    DeviceChoice choice;
    choice.position = position(devices, selection);
    const DeviceInfo& chosen = devices[choice.position];
    if (!chosen.usable())
        reject(Result::NoDevice, selection, chosen.name + " cannot be used: " + chosen.unusableBecause, devices);
    const bool automatic = selection.empty() || lowered(selection) == "auto";
    for (size_t i = 0; i < devices.size(); ++i) {
        const DeviceInfo& device = devices[i];
        std::string reason;
        if (i == choice.position) {
            reason = automatic ? std::string("chosen: the best usable device (") + toString(device.type) + ")"
                               : "chosen: selected by \"" + std::string(selection) + "\"";
        } else if (!device.usable()) {
            reason = "not chosen: " + device.unusableBecause;
        } else if (!automatic) {
            reason = "not chosen: another one was selected";
        } else if (device.uuid == chosen.uuid) {
            reason = "not chosen: the same device as " + std::to_string(chosen.index) + " through another driver";
        } else if (device.type != chosen.type) {
            reason = std::string("not chosen: ") + toString(chosen.type) + " comes before " + toString(device.type);
        } else if (isTranslated(device) && !isTranslated(chosen)) {
            reason = "not chosen: its driver translates to Direct3D 12";
        } else if (device.limits.heapBytes < chosen.limits.heapBytes) {
            reason = "not chosen: less memory";
        } else {
            reason = "not chosen: a higher index";
        }
        choice.reasons.push_back(std::move(reason));
    }
    return choice;
}

}  // namespace vulcat::vk
