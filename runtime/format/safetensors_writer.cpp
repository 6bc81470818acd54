#include "format/safetensors.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/path_text.h"
#include "format/atomic_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace vulcat::format {

namespace {

struct Place {
    uint64_t begin = 0;
    uint64_t sizeBytes = 0;
    bool written = false;
};

[[noreturn]] void reject(const std::filesystem::path& path, const std::string& what) {
    throw Error(Result::InvalidArgument, pathText(path) + ": " + what);
}

void checkSpec(const std::filesystem::path& path, const TensorSpec& spec) {
    if (spec.name.empty() || spec.name.size() > 512 || spec.name == "__metadata__") {
        reject(path, "\"" + spec.name.substr(0, 80) + "\" cannot name a tensor (1 to 512 bytes, not __metadata__)");
    }
    if (spec.shape.size() > 8) reject(path, "tensor " + spec.name + " has more than 8 dimensions");
}

}  // namespace

uint64_t TensorSpec::sizeBytes() const {
    const std::string what = "tensor " + name;
    return checkedMultiply(checkedProduct(shape, what.c_str()), dtypeBytes(dtype), what.c_str());
}

struct SafetensorsWriter::State {
    explicit State(const std::filesystem::path& target) : path(target), file(target) {}

    std::filesystem::path path;
    AtomicFile file;
    uint64_t dataStart = 0;
    std::unordered_map<std::string, Place> places;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> specs,
                                     const std::map<std::string, std::string>& metadata) {
    std::stable_sort(specs.begin(), specs.end(), [](const TensorSpec& a, const TensorSpec& b) {
        return dtypeBytes(a.dtype) > dtypeBytes(b.dtype);
    });
    nlohmann::json header = nlohmann::json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    std::unordered_map<std::string, Place> places;
    uint64_t end = 0;
    for (const TensorSpec& spec : specs) {
        checkSpec(path, spec);
        const Place place{.begin = end, .sizeBytes = spec.sizeBytes()};
        if (!places.emplace(spec.name, place).second) reject(path, "two tensors are named " + spec.name);
        end = checkedAdd(end, place.sizeBytes, "the sum of all tensors");
        header[spec.name] = {
            {"dtype", dtypeName(spec.dtype)}, {"shape", spec.shape}, {"data_offsets", {place.begin, end}}};
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const nlohmann::json::exception&) {
        reject(path, "a tensor name or metadata text is not valid UTF-8");
    }
    // The data begins at a multiple of 64 bytes, so that a mapped tensor is aligned for vector loads.
    text.resize(roundUp(text.size() + 8, 64) - 8, ' ');

    state_ = std::make_unique<State>(path);
    state_->places = std::move(places);
    std::string length(8, '\0');
    for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFF);
    state_->file.append(length);
    state_->file.append(text);
    state_->dataStart = 8 + text.size();
}

SafetensorsWriter::~SafetensorsWriter() = default;
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
    const auto found = state_->places.find(std::string(name));
    if (found == state_->places.end()) reject(state_->path, "no tensor " + std::string(name) + " was declared");
    Place& place = found->second;
    if (place.written) reject(state_->path, "tensor " + std::string(name) + " is written twice");
    if (bytes.size() != place.sizeBytes) {
        reject(state_->path, "tensor " + std::string(name) + " has " + std::to_string(place.sizeBytes) +
                                 " bytes, not " + std::to_string(bytes.size()));
    }
    state_->file.writeAt(state_->dataStart + place.begin, bytes);
    place.written = true;
}

void SafetensorsWriter::finish() {
    for (const auto& [name, place] : state_->places) {
        if (!place.written) reject(state_->path, "tensor " + name + " was never written");
    }
    state_->file.commit();
}

}  // namespace vulcat::format
