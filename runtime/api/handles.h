#pragma once
// What stands behind the handles of vulcat.h, and the guard at the border: exceptions become results, messages stay in
// the context. No logic of its own.

#include "api/vulcat.h"

#include "base/error.h"
#include "layers/standalone_linear.h"
#include "model/generator.h"
#include "model/model_plan.h"
#include "model/session.h"
#include "model/session_state.h"
#include "model/stepper.h"
#include "text/streaming_decoder.h"
#include "text/tokenizer.h"
#include "vk/device_choice.h"
#include "vk/instance.h"
#include "vk/pipeline_library.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

namespace vulcat::api {

/// What a context was asked for, kept to make its device again.
struct ContextOptions {
    std::string selection = "auto";
    PFN_vkGetInstanceProcAddr getInstanceProcAddr = nullptr;
    bool validation = false;
    vk::DeviceOptions device;
    std::optional<vk::AdoptedDevice> host;
    std::vector<std::byte> pipelineCache;
    std::vector<std::byte> tuning;
    std::vector<std::byte> tiles;
};

/// NULL: the defaults.
model::SessionOptions sessionOptions(const VulcatSessionInfo* info, const char* name);

/// Checks the host's struct and translates it. Errors: InvalidArgument naming the field.
vk::AdoptedDevice adoptedDevice(const VulcatHostDevice* host);

}  // namespace vulcat::api

struct VulcatContext_T {
    VulcatLogFunction log = nullptr;
    void* userData = nullptr;
    std::string errorText;
    vulcat::api::ContextOptions options;
    std::optional<vulcat::vk::Instance> instance;  // none on the host's device
    std::optional<vulcat::vk::Device> device;      // none after a vulcatRecreate that failed
    std::optional<vulcat::vk::PipelineLibrary> pipelines;

    std::optional<vulcat::model::StepCosts> costs;
    vulcat::kernels::Tuning tiles;
    VulcatMode mode = VULCAT_MODE_BALANCE;
    // Everything made from this context and not destroyed, in the order of creation.
    std::vector<VulcatLinear> linears;
    std::vector<VulcatModel> models;
    std::vector<VulcatSession> sessions;

    ~VulcatContext_T() { close(); }
    /// Makes device and pipelines from the options.
    void open();
    /// Takes the children from the device, remembering what sessions hold, then destroys it.
    void close();
    /// Puts the children back on the device that open() made.
    void reopenChildren();
    /// Throws DeviceLost where open() has failed.
    vulcat::layers::Engine engine();
    void write(VulcatLogLevel level, const std::string& message) const {
        if (log != nullptr) log(userData, level, message.c_str());
    }
};

namespace vulcat::api {

/// Puts a handle into its context's list as long as it lives.
template <class Handle>
class Listed {
  public:
    Listed(std::vector<Handle>& list, Handle handle) : list_(list), handle_(handle) { list_.push_back(handle); }
    ~Listed() { list_.erase(std::find(list_.begin(), list_.end(), handle_)); }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;

  private:
    std::vector<Handle>& list_;
    Handle handle_;
};

/// What is there only while the context has a device.
template <class T>
T& present(std::optional<T>& value) {
    if (!value) throw Error(Result::DeviceLost, "the context has no device: call vulcatRecreate");
    return *value;
}

}  // namespace vulcat::api

struct VulcatLinear_T {
    explicit VulcatLinear_T(VulcatContext parent) : context(parent), listed(parent->linears, this) {}
    VulcatContext context;
    std::filesystem::path folder;  // empty: `memory`
    std::string site;
    std::optional<vulcat::layers::MemoryLinear> memory;
    vulcat::layers::StandaloneLinear::Options options;
    std::optional<vulcat::layers::StandaloneLinear> linear;
    vulcat::api::Listed<VulcatLinear> listed;

    void open();
};

struct VulcatModel_T {
    VulcatModel_T(VulcatContext parent, std::filesystem::path from)
        : context(parent), folder(std::move(from)), tokenizer(folder), listed(parent->models, this) {}
    VulcatContext context;
    std::filesystem::path folder;
    vulcat::text::Tokenizer tokenizer;
    std::optional<vulcat::model::DecoderModel> decoder;
    vulcat::api::Listed<VulcatModel> listed;

    void open(const vulcat::model::LoadProgress& progress);
};

struct VulcatSession_T {
    VulcatSession_T(VulcatModel of, const vulcat::model::SessionOptions& wanted);
    VulcatContext context;
    VulcatModel model;
    vulcat::model::SessionOptions options;
    vulcat::model::SessionHistory remembered;  // while there is no device
    std::optional<vulcat::model::Session> session;
    std::optional<vulcat::model::Stepper> stepper;
    std::optional<vulcat::model::Generator> generator;  // refers to `session`, also to the one of a later device
    vulcat::api::Listed<VulcatSession> listed;

    void open();
    void close();
    /// The session with nothing queued any more: what is, is run to its end first.
    vulcat::model::Generator& settled();
    void finishQueue();
};

struct VulcatTextStream_T {
    VulcatContext context;
    vulcat::text::StreamingDecoder decoder;
    std::string text;
};

namespace vulcat::api {

/// Runs `work`; what it throws becomes a result and a sentence in `errorText`.
template <class Work>
VulcatResult guard(std::string& errorText, Work&& work) {
    try {
        try {
            work();
            return VULCAT_SUCCESS;
        } catch (const Error& error) {
            errorText = error.what();
            return static_cast<VulcatResult>(error.code());
        } catch (const std::bad_alloc&) {
            errorText = "the host has not enough memory";
            return VULCAT_ERROR_OUT_OF_MEMORY;
        } catch (const std::exception& error) {
            errorText = error.what();
            return VULCAT_ERROR_FAILURE;
        } catch (...) {
            errorText = "unknown failure";
            return VULCAT_ERROR_FAILURE;
        }
    } catch (...) {  // no memory left for the sentence
        return VULCAT_ERROR_OUT_OF_MEMORY;
    }
}

/// The same for functions with a handle; `handle` is anything with a context, checked for null here.
template <class Handle, class Work>
VulcatResult guardHandle(Handle handle, Work&& work) {
    if (handle == nullptr) return VULCAT_ERROR_INVALID_ARGUMENT;
    if constexpr (std::is_same_v<Handle, VulcatContext>) {
        return guard(handle->errorText, std::forward<Work>(work));
    } else {
        return guard(handle->context->errorText, std::forward<Work>(work));
    }
}

inline void requireArgument(bool valid, const char* sentence) {
    if (!valid) throw Error(Result::InvalidArgument, sentence);
}

/// A caller's struct, perhaps of an older or newer header: what is missing is zero, and what we do not know must be.
template <class Struct>
Struct readStruct(const Struct* given, const char* name) {
    const std::string field = std::string(name) + ".structSize";
    if (given == nullptr) throw Error(Result::InvalidArgument, std::string(name) + " must not be NULL");
    if (given->structSize < sizeof(size_t) || given->structSize > 65536) {
        throw Error(Result::InvalidArgument, field + " must be sizeof the struct");
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    for (size_t i = sizeof(Struct); i < given->structSize; ++i) {
        if (bytes[i] != 0) throw Error(Result::Unsupported, field + " names fields that this library does not know");
    }
    Struct result{};
    std::memcpy(&result, given, std::min(given->structSize, sizeof(Struct)));
    return result;
}

/// Gives a struct back to a caller, as much as its structSize has room for.
template <class Struct>
void writeStruct(Struct value, Struct* out, const char* name) {
    if (out == nullptr) throw Error(Result::InvalidArgument, std::string(name) + " must not be NULL");
    if (out->structSize < sizeof(size_t)) {
        throw Error(Result::InvalidArgument, std::string(name) + ".structSize must be sizeof the struct");
    }
    value.structSize = out->structSize;
    std::memcpy(out, &value, std::min(out->structSize, sizeof(Struct)));
}

/// Gives `count` items to a caller who gave room for *room of them, or asks for the number with out NULL.
template <class T>
void copyOut(const T* from, size_t count, T* out, size_t* room, const char* what) {
    const size_t given = *room;
    *room = count;
    if (out == nullptr) return;
    if (given < count) {
        throw Error(Result::InvalidArgument, std::string(what) + " has room for " + std::to_string(given) + ", but " +
                                                 std::to_string(count) + " are needed");
    }
    std::copy_n(from, count, out);
}

/// Copies text into a fixed field, cut where it is too long, always terminated.
inline void copyText(const std::string& text, char* out, size_t room) {
    if (out == nullptr || room == 0) return;
    const size_t length = std::min(text.size(), room - 1);
    std::memcpy(out, text.data(), length);
    out[length] = '\0';
}

}  // namespace vulcat::api
