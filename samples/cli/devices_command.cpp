// vulcat devices: what is there, what it can do, and which one would be chosen.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

#include "vk/device_choice.h"
#include "vk/instance.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace vulcat::cli {
namespace {

std::string capabilityText(const vk::DeviceInfo& device) {
    std::string text = device.capabilities.toString();
    const vk::CapabilitySet slow = device.available - device.capabilities;
    if (!slow.empty()) text += " (not accelerated: " + slow.toString() + ")";
    return text;
}

std::string shapesText(const vk::DeviceInfo& device) {
    std::string text;
    for (const vk::CoopmatShape& s : device.coopmatShapes)
        text += (text.empty() ? "" : ", ") + std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
    return text;
}

void printDevice(const vk::DeviceInfo& device, const std::string& reason) {
    const auto line = [](const char* name, const std::string& value) {
        if (!value.empty()) std::printf("    %-14s %s\n", name, value.c_str());
    };
    std::printf("%u: %s\n", device.index, device.name.c_str());
    line("chosen", reason);
    line("type", vk::toString(device.type));
    line("uuid", device.uuidText());
    line("driver", device.driverName + " " + device.driverVersionText);
    line("vulkan", std::to_string(VK_VERSION_MAJOR(device.apiVersion)) + "." + std::to_string(VK_VERSION_MINOR(device.apiVersion)) +
                       "." + std::to_string(VK_VERSION_PATCH(device.apiVersion)));
    line("capabilities", capabilityText(device));
    line("matrix s8", shapesText(device));
    const vk::Limits& l = device.limits;
    const std::string range = l.minSubgroupSize == l.maxSubgroupSize
                                  ? ""
                                  : " (" + std::to_string(l.minSubgroupSize) + " to " + std::to_string(l.maxSubgroupSize) + ")";
    line("subgroup", std::to_string(l.subgroupSize) + range);
    line("workgroup", std::to_string(l.maxWorkgroupInvocations) + " threads, " + humanBytes(l.maxSharedBytes) + " shared");
    line("buffers", humanBytes(l.maxStorageRange) + " a binding, " + humanBytes(l.maxAllocation) + " an allocation, alignment " +
                        std::to_string(l.storageAlignment) + ", texel buffers of " + std::to_string(l.maxTexelElements) + " elements");
    for (const vk::MemoryHeap& heap : device.heaps)
        line("memory", humanBytes(heap.sizeBytes) + (heap.deviceLocal ? ", device" : "") + (heap.hostVisible ? ", host visible" : "") +
                           (heap.budgetBytes != heap.sizeBytes ? ", budget " + humanBytes(heap.budgetBytes) : ""));
    for (const std::string& quirk : device.quirks) line("quirk", quirk);
}

nlohmann::ordered_json deviceJson(const vk::DeviceInfo& device, const std::string& reason, bool chosen) {
    nlohmann::ordered_json heaps = nlohmann::ordered_json::array();
    for (const vk::MemoryHeap& heap : device.heaps)
        heaps.push_back({{"size_bytes", heap.sizeBytes}, {"budget_bytes", heap.budgetBytes},
                         {"device_local", heap.deviceLocal}, {"host_visible", heap.hostVisible}});
    return {{"index", device.index},
            {"name", device.name},
            {"uuid", device.uuidText()},
            {"type", vk::toString(device.type)},
            {"driver", device.driverName},
            {"driver_version", device.driverVersionText},
            {"capabilities", device.capabilities.toString()},
            {"available", device.available.toString()},
            {"matrix_shapes_s8", shapesText(device)},
            {"subgroup_size", device.limits.subgroupSize},
            {"max_storage_range_bytes", device.limits.maxStorageRange},
            {"max_allocation_bytes", device.limits.maxAllocation},
            {"heaps", heaps},
            {"quirks", device.quirks},
            {"chosen", chosen},
            {"reason", reason}};
}

/// The choice; where there is none, the list still says what is there and why not, before the error ends the program.
vk::DeviceChoice choose(const std::vector<vk::DeviceInfo>& devices, const std::string& selection, bool print) {
    try {
        return vk::chooseDevice(devices, selection);
    } catch (const Error&) {
        for (size_t i = 0; print && i < devices.size(); ++i)
            printDevice(devices[i], devices[i].usable() ? "no: another one was asked for" : "no: " + devices[i].unusableBecause);
        throw;
    }
}

int listDevices(const std::string& selection, const std::string& format) {
    const vk::Instance instance;
    const auto& devices = instance.physicalDevices();
    const vk::DeviceChoice choice = choose(devices, selection, format != "json");
    if (format == "json") {
        nlohmann::ordered_json list = nlohmann::ordered_json::array();
        for (size_t i = 0; i < devices.size(); ++i) list.push_back(deviceJson(devices[i], choice.reasons[i], i == choice.position));
        std::puts(list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
        return kExitOk;
    }
    for (size_t i = 0; i < devices.size(); ++i)
        printDevice(devices[i], (i == choice.position ? "yes: " : "no: ") + choice.reasons[i]);
    return kExitOk;
}

}  // namespace

void addDevicesCommand(CommandLine& line) {
    Command command = line.command("devices", "List Vulkan devices, what they can do, and which one is chosen");
    auto selection = std::make_shared<std::string>("auto");
    auto format = std::make_shared<std::string>("text");
    command.option("-d,--device", *selection, "auto, or an index, a UUID, or part of a name: show whether it would be chosen");
    command.option("--format", *format, "Output format").oneOf({"text", "json"});
    command.action([selection, format] { return listDevices(*selection, *format); });
}

}  // namespace vulcat::cli
