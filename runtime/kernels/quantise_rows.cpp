#include "kernels/quantise_rows.h"

#include "kernels/variant.h"

#include "shaders/interface/quantise_rows.h"

#include "base/error.h"

#include <algorithm>
#include <bit>
#include <string>

namespace vulcat::kernels {
namespace {

constexpr Variant kQuantiseVariants[] = {
    {"quantise_rows", {}, 0},
    {"quantise_rows_texel", {vk::Capability::Texel}, 1},
};

const vk::Pipeline& quantisePipeline(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                                     const ActivationFormat& format, bool wide) {
    const Variant& variant = choose(kQuantiseVariants, wide ? allowed : vk::CapabilitySet{});
    vk::PipelineSpec spec;
    spec.module = variant.module;
    spec.constants = {rowLocalSize(device), formatConstant(format), wide};
    spec.pushBytes = sizeof(shaders::QuantiseRowsPush);
    const bool texel = variant.required.contains(vk::Capability::Texel);
    spec.bindings = {texel ? vk::BindingKind::UniformTexel : vk::BindingKind::Storage, vk::BindingKind::Storage};
    return library.get(spec);
}

}  // namespace

uint32_t formatConstant(const ActivationFormat& format) {
    if (format.bits == 8 && format.symmetric) return shaders::kFormatA8;
    if (format.bits == 4) return format.symmetric ? shaders::kFormatA4Symmetric : shaders::kFormatA4Asymmetric;
    throw Error(Result::Unsupported, "activations are quantised to 8 bits (symmetric) or 4, not to " +
                                         std::to_string(format.bits) +
                                         (format.symmetric ? " symmetric" : " asymmetric"));
}

QuantisedRows::QuantisedRows(vk::Device& device, const vk::CapabilitySet& allowed, vk::BufferView storage,
                             uint32_t rows, uint32_t inputs)
    : rows_(rows), inputs_(inputs) {
    const uint64_t bytes = sizeBytes(rows, inputs);
    if (rows == 0 || inputs == 0 || bytes > storage.size || bytes > device.limits().maxStorageRange) {
        throw Error(Result::InvalidArgument, std::to_string(rows) + " quantised rows of " + std::to_string(inputs) +
                                                 " inputs do not fit a buffer of " + std::to_string(storage.size) +
                                                 " bytes and the device's range of " +
                                                 std::to_string(device.limits().maxStorageRange));
    }
    storage_ = storage.part(0, bytes);
    if (allowed.contains(vk::Capability::Texel)) texel_.emplace(device, storage_);
}

std::vector<uint32_t> layOutRows(const format::QuantisedRows& rows) {
    const uint32_t stride = QuantisedRows::rowWords(static_cast<uint32_t>(rows.columns));
    std::vector<uint32_t> words(rows.rows * stride, 0u);
    for (uint64_t m = 0; m < rows.rows; ++m) {
        uint32_t* const row = words.data() + m * stride;
        row[0] = std::bit_cast<uint32_t>(rows.headers[m].scale);
        row[1] = static_cast<uint32_t>(rows.headers[m].zero);
        row[2] = static_cast<uint32_t>(rows.headers[m].codeSum);
        for (uint64_t k = 0; k < rows.columns; ++k) {
            row[4 + k / 4] |= uint32_t{static_cast<uint8_t>(rows.codes[m * rows.columns + k])} << (8 * (k % 4));
        }
    }
    return words;
}

QuantiseRows::QuantiseRows(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                           const ActivationFormat& format)
    : device_(device),
      wide_(quantisePipeline(device, library, allowed, format, true)),
      narrow_(quantisePipeline(device, library, allowed, format, false)) {}

void QuantiseRows::record(vk::Recorder& recorder, const Args& args) const {
    if (args.rows == 0 || args.rows > args.out.rows()) {
        throw Error(Result::InvalidArgument, "cannot quantise " + std::to_string(args.rows) + " rows into room for " +
                                                 std::to_string(args.out.rows()));
    }
    const uint32_t inputs = args.out.inputs();
    const uint32_t most = device_.limits().maxWorkgroupCount[0];
    const vk::BufferView x = args.x.part(0, uint64_t{args.rows} * inputs * sizeof(float));
    const vk::BufferView out = args.out.storage().part(0, QuantisedRows::sizeBytes(args.rows, inputs));
    for (uint32_t first = 0; first < args.rows; first += std::min(most, args.rows - first)) {
        recorder.dispatch(inputs % 4 == 0 ? wide_ : narrow_, {vk::read(x), vk::write(out)}, shaders::QuantiseRowsPush{first, inputs},
                          {std::min(most, args.rows - first), 1, 1}, "quantise_rows");
    }
}

}  // namespace vulcat::kernels
