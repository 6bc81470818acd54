#include "base/error.h"
#include "base/path_text.h"
#include "format/json_fields.h"
#include "format/json_tree.h"
#include "format/safetensors.h"

#include <map>

namespace vulcat::format {

namespace {

constexpr size_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShards = 4096;
constexpr size_t kMaxTensorsOfAllShards = 1'000'000;

// Only names of files in the folder itself: an index must not lead the reader anywhere else.
bool isPlainName(const std::string& name) {
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

}  // namespace

TensorStore::TensorStore(const std::filesystem::path& folder) : folder_(folder) {
    const std::filesystem::path whole = folder / "model.safetensors";
    const std::filesystem::path indexPath = folder / "model.safetensors.index.json";
    std::error_code ignored;
    if (std::filesystem::is_regular_file(folder, ignored)) {
        addFile(folder);
        return;
    }
    if (std::filesystem::exists(whole, ignored)) {
        addFile(whole);
        return;
    }
    if (!std::filesystem::exists(indexPath, ignored)) {
        throw Error(Result::InvalidFile,
                    pathText(folder) +
                        ": there is neither model.safetensors nor model.safetensors.index.json; is "
                        "this a model folder?");
    }
    const std::string where = pathText(indexPath);
    const nlohmann::json root = parseJson(readTextFile(indexPath, kMaxIndexBytes), where);
    const JsonFields fields(root, where);
    const JsonFields weights = fields.object("weight_map");
    const nlohmann::json& map = fields.at("weight_map");

    std::map<std::string, size_t> shards;
    for (const auto& item : map.items()) {
        const std::string& shard = weights.text(item.key());
        if (!isPlainName(shard)) weights.fail(item.key(), "must name a file in the folder itself, without a path");
        shards.emplace(shard, 0);
        if (shards.size() > kMaxShards) throw Error(Result::InvalidFile, where + ": more than 4096 shards");
    }
    for (auto& [shard, position] : shards) {
        position = files_.size();
        addFile(folder / pathOf(shard));
    }
    for (const auto& item : map.items()) {
        const std::string& shard = weights.text(item.key());
        if (files_[shards.at(shard)].find(item.key()) == nullptr) weights.fail(item.key(), "is not in " + shard);
    }
}

void TensorStore::addFile(const std::filesystem::path& path) {
    files_.emplace_back(path);
    for (const TensorView& tensor : files_.back().tensors()) {
        if (!index_.emplace(tensor.name, tensors_.size()).second) {
            throw Error(Result::InvalidFile,
                        pathText(path) + ": tensor " + std::string(tensor.name) + " is in another shard too");
        }
        tensors_.push_back(tensor);
        if (tensors_.size() > kMaxTensorsOfAllShards)
            throw Error(Result::InvalidFile, pathText(path) + ": too many tensors");
    }
}

const TensorView* TensorStore::find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& TensorStore::at(std::string_view name) const {
    const TensorView* tensor = find(name);
    if (tensor == nullptr) {
        throw Error(Result::InvalidFile, pathText(folder_) + ": there is no tensor " + std::string(name));
    }
    return *tensor;
}

void TensorStore::checkUnchanged() const {
    for (const SafetensorsFile& file : files_) file.checkUnchanged();
}

}  // namespace vulcat::format
