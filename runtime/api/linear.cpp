#include "api/handles.h"

#include "base/path_text.h"
#include "format/quantise.h"

#include <cmath>
#include <memory>
#include <span>

using namespace vulcat;

namespace {

/// Ready codes, checked as those of a file are.
format::QuantisedMatrix givenCodes(const VulcatLinearInfo& info, int bits) {
    format::QuantisedMatrix matrix;
    matrix.rows = info.outputs;
    matrix.columns = info.inputs;
    matrix.bits = bits;
    matrix.groupSize = info.groupSize;
    const size_t count = size_t{info.outputs} * info.inputs;
    const int most = bits == 4 ? 7 : 127;
    const int least = bits == 4 ? -8 : -127;
    matrix.codes.assign(info.codes, info.codes + count);
    for (int8_t code : matrix.codes) {
        api::requireArgument(code >= least && code <= most, "info.codes holds a code that weightBits cannot");
    }
    matrix.scales.assign(info.scales, info.scales + size_t{info.outputs} * matrix.groups());
    for (float scale : matrix.scales) {
        const bool sane = scale > 0 ? std::isnormal(scale) : scale == 0 && !std::signbit(scale);
        api::requireArgument(sane, "info.scales holds a scale that is not a positive normal number or zero");
    }
    matrix.codeSums.resize(matrix.scales.size());
    for (size_t row = 0; row < matrix.rows; ++row) {
        format::sumCodes(std::span(matrix.codes).subspan(row * matrix.columns, matrix.columns), matrix.groupSize,
                         std::span(matrix.codeSums).subspan(row * matrix.groups(), matrix.groups()));
    }
    return matrix;
}

format::QuantisedMatrix quantisedMatrix(const VulcatLinearInfo& info) {
    constexpr uint32_t kMostWidth = 1u << 20;  // as for model folders
    api::requireArgument(info.inputs >= 1 && info.inputs <= kMostWidth, "info.inputs must be 1..2^20");
    api::requireArgument(info.outputs >= 1 && info.outputs <= kMostWidth, "info.outputs must be 1..2^20");
    api::requireArgument(info.weightBits == 4 || info.weightBits == 8, "info.weightBits must be 4 or 8");
    const uint32_t group = info.groupSize;
    api::requireArgument(group == 0 || group == 32 || group == 64 || group == 128,
                         "info.groupSize must be 0, 32, 64 or 128");
    const int bits = static_cast<int>(info.weightBits);
    if (info.weights != nullptr) {
        api::requireArgument(info.codes == nullptr, "info.weights and info.codes exclude each other");
        const std::span weights(info.weights, size_t{info.outputs} * info.inputs);
        for (float weight : weights) api::requireArgument(std::isfinite(weight), "info.weights holds no finite number");
        return format::quantiseWeights(weights, info.outputs, info.inputs, bits, group, format::ScaleSearch::Mse);
    }
    api::requireArgument(info.codes != nullptr && info.scales != nullptr,
                         "info needs folder and site, or weights, or codes and scales");
    return givenCodes(info, bits);
}

layers::MemoryLinear memoryLinear(const VulcatLinearInfo& info) {
    std::vector<float> bias;
    format::SiteRecipe recipe;
    recipe.weightBits = static_cast<int>(info.weightBits);
    recipe.groupSize = static_cast<int>(info.groupSize);
    recipe.activationBits = info.activationBits == 0 ? 8 : static_cast<int>(info.activationBits);
    recipe.activationSymmetric = info.activationSymmetric != 0;
    const int bits = recipe.activationBits;
    api::requireArgument(bits == 4 || bits == 8 || bits == 16, "info.activationBits must be 0, 4, 8 or 16");
    const format::QuantisedMatrix matrix = quantisedMatrix(info);
    if (info.bias != nullptr) bias.assign(info.bias, info.bias + info.outputs);
    for (float value : bias) api::requireArgument(std::isfinite(value), "info.bias holds no finite number");
    return {layers::LinearSource(matrix, std::move(bias)), recipe, info.inputs};
}

/// A host's buffer as the recorder wants it. Its true size is the host's to know.
vk::BufferView hostView(const vk::Device& device, uint64_t buffer, uint64_t offset, uint64_t sizeBytes,
                        const char* name) {
    const uint32_t alignment = device.limits().storageAlignment;
    if (buffer == 0) throw Error(Result::InvalidArgument, std::string("run.") + name + " must not be VK_NULL_HANDLE");
    if (offset % alignment != 0) {
        throw Error(Result::InvalidArgument,
                    std::string("run.") + name + "Offset must be a multiple of " + std::to_string(alignment));
    }
    return {(VkBuffer)buffer, offset, sizeBytes, nullptr};
}

}  // namespace

void VulcatLinear_T::open() {
    const layers::Engine engine = context->engine();
    if (memory) {
        linear.emplace(engine, *memory, options);
    } else {
        linear.emplace(engine, format::TensorStore(folder), site, options);
    }
}

VulcatResult vulcatCreateLinear(VulcatContext context, const VulcatLinearInfo* info, VulcatLinear* linear) {
    return api::guardHandle(context, [&] {
        const VulcatLinearInfo known = api::readStruct(info, "info");
        api::requireArgument(linear != nullptr, "linear must not be NULL");
        auto made = std::make_unique<VulcatLinear_T>(context);
        made->options.maxRows = known.maxRows;
        if (known.recordings != 0) made->options.recordings = known.recordings;
        api::requireArgument(made->options.recordings <= 64, "info.recordings must be at most 64");
        if (known.folder != nullptr) {
            api::requireArgument(known.site != nullptr, "info.site must not be NULL");
            made->folder = pathOf(known.folder);
            made->site = known.site;
        } else {
            made->memory = memoryLinear(known);
        }
        made->open();
        *linear = made.release();
    });
}

void vulcatDestroyLinear(VulcatLinear linear) {
    delete linear;
}

VulcatResult vulcatLinearProperties(VulcatLinear linear, VulcatLinearProperties* properties) {
    return api::guardHandle(linear, [&] {
        const vk::Device& device = linear->context->engine().device;
        const layers::StandaloneLinear& made = api::present(linear->linear);
        VulcatLinearProperties known{};
        known.inputs = made.inputs();
        known.outputs = made.outputs();
        known.maxRows = made.maxRows();
        known.offsetAlignment = device.limits().storageAlignment;
        known.bufferUsage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
        if (device.enabled().contains(vk::Capability::Texel)) {
            known.bufferUsage |= VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
        }
        known.weightsBytes = made.weightsBytes();
        known.scratchBytes = made.scratchBytes();
        api::writeStruct(known, properties, "properties");
    });
}

VulcatResult vulcatCmdLinear(VulcatLinear linear, const VulcatLinearRun* run) {
    return api::guardHandle(linear, [&] {
        const VulcatLinearRun known = api::readStruct(run, "run");
        const vk::Device& device = linear->context->engine().device;
        layers::StandaloneLinear& made = api::present(linear->linear);
        api::requireArgument(known.commandBuffer != nullptr, "run.commandBuffer must not be NULL");
        api::requireArgument(known.rows >= 1 && known.rows <= made.maxRows(), "run.rows must be 1..maxRows");
        const uint64_t rows = known.rows;
        const vk::BufferView x =
            hostView(device, known.input, known.inputOffset, rows * made.inputs() * sizeof(float), "input");
        const vk::BufferView y =
            hostView(device, known.output, known.outputOffset, rows * made.outputs() * sizeof(float), "output");
        made.record(static_cast<VkCommandBuffer>(known.commandBuffer), x, y, known.rows, known.accumulate != 0);
    });
}
