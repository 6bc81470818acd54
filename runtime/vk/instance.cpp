#include "vk/instance.h"

#include "vk/check.h"
#include "vk/validation.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>

namespace vulcat::vk {
namespace {

constexpr const char* kPortabilityEnumeration = "VK_KHR_portability_enumeration";

bool hasExtension(const GlobalDispatch& global, std::string_view extension) {
    uint32_t count = 0;
    check(global.vkEnumerateInstanceExtensionProperties(nullptr, &count, nullptr), "listing instance extensions");
    std::vector<VkExtensionProperties> extensions(count);
    check(global.vkEnumerateInstanceExtensionProperties(nullptr, &count, extensions.data()),
          "listing instance extensions");
    return std::any_of(extensions.begin(), extensions.end(),
                       [&](const auto& item) { return item.extensionName == extension; });
}

}  // namespace

struct Instance::MessageSink {
    MessageCallback callback;
    std::atomic<uint32_t> validationMessages{0};
};

VKAPI_ATTR VkBool32 VKAPI_CALL Instance::receiveMessage(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                        VkDebugUtilsMessageTypeFlagsEXT types,
                                                        const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
    auto* sink = static_cast<MessageSink*>(user);
    // The loader's own complaints (type GENERAL) are about other drivers on the machine, not about us.
    if ((types & ~static_cast<VkDebugUtilsMessageTypeFlagsEXT>(VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT)) == 0) {
        return VK_FALSE;
    }
    ++sink->validationMessages;
    if (!sink->callback) return VK_FALSE;
    const bool error = severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    try {
        std::string text = data->pMessage;
        // Only older layers repeat the name of the rule in the text.
        if (data->pMessageIdName != nullptr && text.find(data->pMessageIdName) == std::string::npos) {
            text = std::string(data->pMessageIdName) + ": " + text;
        }
        sink->callback(error ? MessageSeverity::Error : MessageSeverity::Warning, text);
    } catch (...) {
        // Called from C: nothing may pass. The message is counted already.
    }
    return VK_FALSE;
}

Instance::Instance(InstanceOptions options) : sink_(std::make_unique<MessageSink>()) {
    loader_ = options.getInstanceProcAddr != nullptr ? std::make_unique<Loader>(options.getInstanceProcAddr)
                                                     : std::make_unique<Loader>();
    sink_->callback = std::move(options.messages);
    const GlobalDispatch global = loadGlobal(loader_->getInstanceProcAddr());
    uint32_t loaderVersion = 0;
    check(global.vkEnumerateInstanceVersion(&loaderVersion), "asking the Vulkan loader's version");
    if (loaderVersion < VK_API_VERSION_1_1) {
        throw Error(Result::NoDevice, "the Vulkan loader is older than 1.1: install a newer libvulkan1");
    }
    version_ = std::min<uint32_t>(loaderVersion, VK_API_VERSION_1_3);
    try {
        create(global, options);
        vk_ = loadInstance(loader_->getInstanceProcAddr(), handle_);
        listDevices();
    } catch (...) {
        const auto function = [this](const char* name) { return loader_->getInstanceProcAddr()(handle_, name); };
        if (messenger_ != VK_NULL_HANDLE) {
            const auto destroy = function("vkDestroyDebugUtilsMessengerEXT");
            reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(destroy)(handle_, messenger_, nullptr);
        }
        if (handle_ != VK_NULL_HANDLE) {
            reinterpret_cast<PFN_vkDestroyInstance>(function("vkDestroyInstance"))(handle_, nullptr);
        }
        throw;
    }
}

void Instance::create(const GlobalDispatch& global, const InstanceOptions& options) {
    std::vector<const char*> layers;
    std::vector<const char*> extensions;
    VkInstanceCreateFlags flags = 0;
    if (hasExtension(global, kPortabilityEnumeration)) {
        extensions.push_back(kPortabilityEnumeration);
        flags |= 1;  // VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR, which older headers lack
    }
    std::optional<ValidationRequest> validation;
    if (options.validation) {
        validation.emplace(global, receiveMessage, sink_.get());
        layers.push_back(ValidationRequest::kLayer);
        extensions.insert(extensions.end(), validation->extensions().begin(), validation->extensions().end());
    }
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = options.applicationName.c_str();
    application.pEngineName = "vulcat";
    application.apiVersion = version_;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pNext = validation ? validation->next() : nullptr;
    info.flags = flags;
    info.pApplicationInfo = &application;
    info.enabledLayerCount = static_cast<uint32_t>(layers.size());
    info.ppEnabledLayerNames = layers.data();
    info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    check(global.vkCreateInstance(&info, nullptr, &handle_),
          "opening Vulkan (is a driver installed? Debian: mesa-vulkan-drivers)");
    if (!validation) return;
    const PFN_vkVoidFunction function = loader_->getInstanceProcAddr()(handle_, "vkCreateDebugUtilsMessengerEXT");
    const auto createMessenger = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(function);
    if (createMessenger == nullptr) return;
    check(createMessenger(handle_, &validation->messenger(), nullptr, &messenger_), "listening to the validation layer");
}

void Instance::listDevices() {
    uint32_t count = 0;
    std::vector<VkPhysicalDevice> handles;
    // VK_ERROR_INITIALIZATION_FAILED is the loader's way to say that no installed driver works.
    VkResult result = vk_.vkEnumeratePhysicalDevices(handle_, &count, nullptr);
    if (result == VK_ERROR_INITIALIZATION_FAILED) return;
    check(result, "listing devices");
    handles.resize(count);
    check(vk_.vkEnumeratePhysicalDevices(handle_, &count, handles.data()), "listing devices");
    for (uint32_t i = 0; i < count; ++i) devices_.push_back(describeDevice(vk_, handles[i], i, version_));
}

Instance::~Instance() {
    if (abandoned_) {
        static_cast<void>(loader_.release());
        static_cast<void>(sink_.release());
        return;
    }
    if (messenger_ != VK_NULL_HANDLE && vk_.vkDestroyDebugUtilsMessengerEXT != nullptr) {
        vk_.vkDestroyDebugUtilsMessengerEXT(handle_, messenger_, nullptr);
    }
    vk_.vkDestroyInstance(handle_, nullptr);
}

uint32_t Instance::validationMessageCount() const {
    return sink_->validationMessages;
}

}  // namespace vulcat::vk
