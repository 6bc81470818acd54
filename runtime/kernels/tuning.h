#pragma once
// Which tiles of linears (integer_linear.h, float_linear.h) are fastest on a device, as the tuner measured them
// (tuner.h). A choice of tiles never changes what integer linears compute, and what float ones compute only within the
// rounding of a sum that is added in another order.

#include "kernels/linear_weights.h"
#include "vk/device_info.h"

#include "base/checked.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vulcat::kernels {

/// A shader of a linear and what its workgroups compute.
struct LinearTile {
    std::string module;   ///< name in the shader table without its height
    uint32_t rows = 0;    ///< rows of x a workgroup computes
    double cost = 1;      ///< of one more pass of so many rows over the layer; only costs of one layer compare
    uint32_t tiles = 0;   ///< weight tiles a workgroup computes, where there is a choice
    uint32_t splits = 0;  ///< teams of a workgroup that share K; 0: as suits the device, if any
    uint32_t form = 0;    ///< which of several tiles of one size, where there are such
    double atOnce = 1;    ///< passes that take no longer than one, as far as the table knows: a GPU runs so many side by side
    double start = 0;     ///< cost of the first pass beyond `cost`, as it was measured

    /// Of so many rows, in the unit of `cost`.
    double costOf(uint64_t ofRows) const {
        return start + std::max(static_cast<double>(divideUp(ofRows, uint64_t{rows})), atOnce) * cost;
    }
    bool operator==(const LinearTile&) const = default;
};

enum class LinearInput { Codes, Floats };  ///< IntegerLinear reads quantised rows, FloatLinear floats

/// A linear as large as it is.
struct LinearSize {
    LinearShape shape;
    uint32_t outputs = 0;  ///< N
    LinearInput input = LinearInput::Codes;

    bool operator==(const LinearSize&) const = default;
};

class Tuning {
  public:
    /// Knows nothing: every linear takes the table's tiles.
    Tuning() = default;
    /// What blob() gave for the same device, driver and shader modules (PipelineLibrary::modulesHash); anything else is
    /// passed over.
    Tuning(const vk::DeviceInfo& info, uint64_t library, std::span<const std::byte> blob);

    /// The tiles to choose from, costs in nanoseconds; empty where the size was not measured.
    std::span<const LinearTile> tilesOf(const LinearSize& size) const;
    /// Replaces what is known of the size. At most 16 tiles, module names of at most 47 characters.
    void set(const LinearSize& size, std::vector<LinearTile> tiles);

    bool empty() const { return sizes_.empty(); }
    bool tookBlob() const { return tookBlob_; }  ///< the one given to the constructor
    std::vector<std::byte> blob(const vk::DeviceInfo& info, uint64_t library) const;

  private:
    struct Entry {
        LinearSize size;
        std::vector<LinearTile> tiles;
    };
    std::vector<Entry> sizes_;
    bool tookBlob_ = false;
};

}  // namespace vulcat::kernels
