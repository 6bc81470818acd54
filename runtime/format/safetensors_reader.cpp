#include "format/safetensors.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/path_text.h"
#include "format/json_fields.h"
#include "format/json_tree.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace vulcat::format {

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxTensors = 65'536;
constexpr size_t kMaxNameBytes = 512;
constexpr size_t kMaxDimensions = 8;
// A tensor is at most 15 values; what is left is for metadata.
constexpr JsonLimits kHeaderLimits = {.depth = 32, .values = 2'000'000};

struct HeaderEntry {
    std::string name;
    DType dtype = DType::U8;
    std::vector<uint64_t> shape;
    uint64_t begin = 0;
    uint64_t end = 0;
};

// The JSON text between the length field and the data.
std::string_view headerText(const MappedFile& file) {
    const std::string where = pathText(file.path());
    if (file.sizeBytes() < 8) throw Error(Result::InvalidFile, where + ": too short for a safetensors file");
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<uint64_t>(file.bytes()[static_cast<size_t>(i)]);
    if (length > kMaxHeaderBytes || length > file.sizeBytes() - 8) {
        throw Error(Result::InvalidFile, where + ": the header length " + std::to_string(length) +
                                             " exceeds the file or the 100 MB allowed; not a safetensors file?");
    }
    return {reinterpret_cast<const char*>(file.bytes().data()) + 8, length};
}

uint64_t unsignedValue(const nlohmann::json& value, const JsonFields& fields, const char* name) {
    if (!value.is_number_unsigned()) fields.fail(name, "must hold whole numbers of at least 0");
    return value.get<uint64_t>();
}

HeaderEntry readEntry(const std::string& name, const nlohmann::json& value, const std::string& file, uint64_t dataBytes) {
    if (name.empty() || name.size() > kMaxNameBytes) {
        throw Error(Result::InvalidFile,
                    file + ": a tensor name of " + std::to_string(name.size()) + " bytes (1 to 512 are allowed)");
    }
    const JsonFields fields(value, file + ": tensor " + name);
    HeaderEntry entry;
    entry.name = name;
    const std::optional<DType> dtype = parseDType(fields.text("dtype"));
    if (!dtype) fields.fail("dtype", "names no known type: " + fields.text("dtype").substr(0, 40));
    entry.dtype = *dtype;

    const nlohmann::json& shape = fields.array("shape");
    if (shape.size() > kMaxDimensions) fields.fail("shape", "has more than 8 dimensions");
    for (const nlohmann::json& extent : shape) entry.shape.push_back(unsignedValue(extent, fields, "shape"));

    const nlohmann::json& offsets = fields.array("data_offsets");
    if (offsets.size() != 2) fields.fail("data_offsets", "must hold two numbers");
    entry.begin = unsignedValue(offsets[0], fields, "data_offsets");
    entry.end = unsignedValue(offsets[1], fields, "data_offsets");
    if (entry.begin > entry.end || entry.end > dataBytes) {
        fields.fail("data_offsets", "lie outside the " + std::to_string(dataBytes) + " data bytes of the file");
    }
    const std::string size = fields.where() + ": the shape";
    const uint64_t bytes =
        checkedMultiply(checkedProduct(entry.shape, size.c_str()), dtypeBytes(entry.dtype), size.c_str());
    if (bytes != entry.end - entry.begin) {
        fields.fail("data_offsets", "span " + std::to_string(entry.end - entry.begin) +
                                        " bytes where shape and dtype say " + std::to_string(bytes));
    }
    return entry;
}

std::map<std::string, std::string> readMetadata(const nlohmann::json& value, const std::string& file) {
    const JsonFields fields(value, file + ": __metadata__");
    std::map<std::string, std::string> metadata;
    for (const auto& item : value.items()) metadata[item.key()] = fields.text(item.key());
    return metadata;
}

// Sorted by offset, each tensor must begin where the one before ended, and the last end at the end of the file: that
// excludes holes, overlaps and bytes that no tensor owns, and an empty tensor inside another one.
void requireContiguous(std::vector<HeaderEntry>& entries, const std::string& file, uint64_t dataBytes) {
    std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
        return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    uint64_t end = 0;
    for (const HeaderEntry& entry : entries) {
        if (entry.begin != end) {
            throw Error(Result::InvalidFile, file + ": tensor " + entry.name + ": \"data_offsets\" begin at " +
                                                 std::to_string(entry.begin) + ", the tensor before ends at " +
                                                 std::to_string(end));
        }
        end = entry.end;
    }
    if (end != dataBytes) {
        throw Error(Result::InvalidFile,
                    file + ": " + std::to_string(dataBytes - end) + " bytes at the end belong to no tensor");
    }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
    const std::string where = pathText(path);
    const std::string_view header = headerText(file_);
    const std::span<const std::byte> data = file_.bytes().subspan(8 + header.size());
    const nlohmann::json root = parseJson(header, where, kHeaderLimits);
    if (!root.is_object()) throw Error(Result::InvalidFile, where + ": the header must be a JSON object");

    if (root.size() > kMaxTensors + 1) throw Error(Result::InvalidFile, where + ": more than 65536 tensors");
    std::vector<HeaderEntry> entries;
    for (const auto& item : root.items()) {
        if (item.key() == "__metadata__") {
            metadata_ = readMetadata(item.value(), where);
        } else {
            entries.push_back(readEntry(item.key(), item.value(), where, data.size()));
        }
    }
    if (entries.size() > kMaxTensors) throw Error(Result::InvalidFile, where + ": more than 65536 tensors");
    requireContiguous(entries, where, data.size());

    names_.reserve(entries.size());
    for (HeaderEntry& entry : entries) {
        names_.push_back(std::move(entry.name));
        tensors_.push_back(
            {names_.back(), entry.dtype, std::move(entry.shape), data.subspan(entry.begin, entry.end - entry.begin)});
        index_.emplace(names_.back(), tensors_.size() - 1);
    }
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& SafetensorsFile::at(std::string_view name) const {
    const TensorView* tensor = find(name);
    if (tensor == nullptr) {
        throw Error(Result::InvalidFile, pathText(path()) + ": there is no tensor " + std::string(name));
    }
    return *tensor;
}

}  // namespace vulcat::format
