// A machine without a Vulkan driver: the test runs with VK_ICD_FILENAMES naming a file that does not exist.

#include "vk/device_choice.h"
#include "vk/instance.h"

#include <doctest/doctest.h>

using namespace vulcat;

TEST_CASE("without a driver there is one clear error") {
    try {
        const vk::Instance instance;
        vk::chooseDevice(instance.physicalDevices(), "auto");
        FAIL("there should be no device");
    } catch (const Error& error) {
        CHECK(error.code() == Result::NoDevice);
        CHECK(std::string(error.what()).find("mesa-vulkan-drivers") != std::string::npos);
    }
}
