#pragma once
// Time, GB/s and GOP/s of single kernels on a device: the linear layers in every format over a list of shapes, the
// transforms and the activation quantiser, and beside them the device's own copy speed and its fp32 and int32 multiply-adds.

#include "vk/capabilities.h"
#include "vk/device.h"

#include <cstdint>
#include <string>
#include <vector>

namespace vulcat::cli {

/// N outputs, K inputs.
struct KernelShape {
    uint32_t outputs = 0;
    uint32_t inputs = 0;
};

struct KernelBenchOptions {
    std::vector<KernelShape> shapes;
    std::vector<uint32_t> rows;        ///< M
    std::vector<std::string> formats;  ///< "w4a4", "w4a8", "w4a16", "w8a8", "w8a16", "w16a16"; "-g128" behind it: group scales
    double secondsEach = 0.5;          ///< measuring time of one entry, at least three repetitions
    vk::CapabilitySet allowed = vk::CapabilitySet::all();
};

/// "4096x14336" -> {4096, 14336}. Throws Error(InvalidArgument).
KernelShape parseKernelShape(const std::string& text);

/// Measures and prints, each as soon as it is measured, a row an entry: kernel, shape, median ms, its spread, GB/s (weights and
/// activations once each), GOP/s (2 M N K), the share of the copy speed, the share of the speed of a copy of as many bytes
/// (copy_limit.h), and that of the device's multiply-adds (int32 for integer kernels, fp32 for the others). `format`: of
/// LiveTable. Throws Error(InvalidArgument) for an unknown format of weights, Error(Cancelled) when interrupted; what was
/// measured is printed.
void benchKernels(vk::Device& device, const KernelBenchOptions& options, const std::string& format);

}  // namespace vulcat::cli
