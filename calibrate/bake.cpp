#include "calibrate/bake.h"

#include "calibrate/report_html.h"

#include "format/atomic_file.h"
#include "format/mapped_file.h"
#include "format/model_config.h"

#include "base/error.h"

#include <cstring>
#include <set>

namespace vulcat::calibrate {

namespace fs = std::filesystem;

namespace {

/// What belongs to a model folder besides tensors and config.json.
constexpr const char* kCompanions[] = {"generation_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "tokenizer.model",
                                       "vocab.json",
                                       "merges.txt",
                                       "chat_template.jinja",
                                       "chat_template.json",
                                       "LICENSE",
                                       "LICENSE.txt",
                                       "LICENSE.md",
                                       "NOTICE",
                                       "USE_POLICY.md"};

nlohmann::ordered_json siteJson(const format::SiteRecipe& recipe) {
    nlohmann::ordered_json json = {{"weight_bits", recipe.weightBits},
                                   {"group_size", recipe.groupSize},
                                   {"activation_bits", recipe.activationBits},
                                   {"activation_symmetric", recipe.activationSymmetric},
                                   {"block", recipe.block},
                                   {"mix_order", recipe.mixOrder},
                                   {"mix_stride", recipe.mixStride}};
    if (recipe.coded) json["coded"] = true;
    return json;
}

void writeConfig(const fs::path& folder, const OutputParts& parts, const Report& report) {
    const fs::path source = parts.source->folder() / "config.json";
    nlohmann::ordered_json config =
        nlohmann::ordered_json::parse(format::readTextFile(source, format::kMaxConfigBytes), nullptr, false);
    if (!config.is_object()) throw Error(Result::InvalidFile, source.string() + ": is not a JSON object");
    if (!parts.sites.empty()) {
        nlohmann::ordered_json quantization = report.recipe;
        nlohmann::ordered_json sites = nlohmann::ordered_json::object();
        for (const auto& [name, recipe] : parts.sites) sites[name] = siteJson(recipe);
        quantization["sites"] = sites;
        config["quantization_config"] = quantization;
    }
    format::writeTextFile(folder / "config.json", config.dump(2) + "\n");
}

/// The tensor with the last dimension's elements in another order.
std::vector<std::byte> lastDimensionInOrder(const format::TensorView& tensor, std::span<const Eigen::Index> order) {
    const size_t element = format::dtypeBytes(tensor.dtype), row = order.size() * element;
    std::vector<std::byte> bytes(tensor.bytes.size());
    for (size_t begin = 0; begin < bytes.size(); begin += row)
        for (size_t i = 0; i < order.size(); ++i)
            std::memcpy(bytes.data() + begin + i * element,
                        tensor.bytes.data() + begin + static_cast<size_t>(order[i]) * element, element);
    return bytes;
}

uint64_t writeModel(const fs::path& file, const OutputParts& parts, const std::function<void()>& check) {
    const std::set<std::string, std::less<>> replaced(parts.replaced.begin(), parts.replaced.end());
    std::vector<format::SafetensorsFile> layers;
    for (const fs::path& layer : parts.layerFiles) layers.emplace_back(layer);
    std::vector<const format::TensorView*> tensors;
    for (const format::TensorView& tensor : parts.source->tensors())
        if (replaced.find(tensor.name) == replaced.end()) tensors.push_back(&tensor);
    for (const format::SafetensorsFile& layer : layers)
        for (const format::TensorView& tensor : layer.tensors()) tensors.push_back(&tensor);
    std::vector<format::TensorSpec> specs;
    for (const format::TensorView* tensor : tensors)
        specs.push_back({std::string(tensor->name), tensor->dtype, tensor->shape});
    format::SafetensorsWriter writer(file, std::move(specs), {{"format", "pt"}});
    const std::set<std::string, std::less<>> reordered(parts.reordered.begin(), parts.reordered.end());
    for (const format::TensorView* tensor : tensors) {
        check();
        if (reordered.find(tensor->name) == reordered.end())
            writer.write(tensor->name, tensor->bytes);
        else
            writer.write(tensor->name, std::span<const std::byte>(lastDimensionInOrder(*tensor, parts.order)));
        format::forgetPages(tensor->bytes);
    }
    writer.finish();
    return static_cast<uint64_t>(fs::file_size(file));
}

uint64_t codedBytes(const format::QuantisedMatrix& matrix) {
    return matrix.coded ? format::entropyCoded(matrix).size() : 0;
}

}  // namespace

void writeLayer(const fs::path& file, std::span<const BakedSite> sites) {
    std::vector<format::TensorSpec> specs;
    const auto append = [&](std::vector<format::TensorSpec> more) {
        specs.insert(specs.end(), more.begin(), more.end());
    };
    for (const BakedSite& baked : sites) {
        if (baked.site->transform) append(format::transformSpecs(baked.name, *baked.site->transform));
        for (size_t i = 0; i < baked.prefixes.size(); ++i)
            append(format::quantisedMatrixSpecs(baked.prefixes[i], *baked.site->linears[i].codes,
                                                codedBytes(*baked.site->linears[i].codes)));
    }
    format::SafetensorsWriter writer(file, std::move(specs));
    for (const BakedSite& baked : sites) {
        if (baked.site->transform) format::writeTransform(writer, baked.name, *baked.site->transform);
        for (size_t i = 0; i < baked.prefixes.size(); ++i)
            format::writeQuantisedMatrix(writer, baked.prefixes[i], *baked.site->linears[i].codes);
    }
    writer.finish();
}

void readLayer(const fs::path& file, const format::ModelConfig& config, int index,
               std::span<const format::SiteRecipe> recipes, Layer& layer) {
    const format::TensorStore store(file);
    for (SiteKind kind : format::kSites) {
        Site& site = layer.site(kind);
        site.recipe = recipes[static_cast<size_t>(kind)];
        const std::string name = format::siteName(index, kind);
        site.transform.reset();
        if (site.recipe.block > 0 || site.recipe.mixOrder > 1)
            site.transform = format::readTransform(store, name, site.recipe, format::siteWidth(config, kind));
        const std::vector<format::LinearInfo> linears = format::siteLinears(config, index, kind);
        for (size_t i = 0; i < linears.size(); ++i) {
            site.linears[i].codes = format::readQuantisedMatrix(
                store, linears[i].prefix, linears[i].rows, linears[i].columns, site.recipe.weightBits,
                static_cast<uint64_t>(site.recipe.groupSize), site.recipe.coded);
            site.linears[i].weight.resize(0, 0);
        }
    }
}

void writeOutput(const fs::path& folder, const OutputParts& parts, Report& report, const std::function<void()>& check) {
    report.modelBytes = writeModel(folder / "model.safetensors", parts, check);
    writeConfig(folder, parts, report);
    for (const char* name : kCompanions)
        if (fs::is_regular_file(parts.source->folder() / name))
            format::copyFile(parts.source->folder() / name, folder / name);
    const nlohmann::ordered_json numbers = toJson(report);
    format::writeTextFile(folder / "calibration_report.json", numbers.dump(1) + "\n");
    const fs::path& source = parts.source->folder();
    const fs::path model = source.has_filename() ? source.filename() : source.parent_path().filename();
    // From the figures as they are stored: those of a resumed run have been in a file already.
    const Report stored = reportFromJson(numbers, "calibration_report.json");
    format::writeTextFile(folder / "calibration_report.html", htmlReport(stored, model.string(), nullptr, {}));
}

}  // namespace vulcat::calibrate
