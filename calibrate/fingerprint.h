#pragma once
// A 64-bit hash of everything that decides the bytes of a calibrated folder. It tells runs apart and finds damaged
// files; it is no protection against someone who means harm.

#include "calibrate/options.h"
#include "calibrate/texts.h"

#include "format/safetensors.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace vulcat::calibrate {

class Hasher {
  public:
    void add(std::span<const std::byte> bytes);
    void add(std::string_view text);
    void add(uint64_t word);
    /// 16 hex digits.
    std::string digest() const;

  private:
    uint64_t state_ = 0x9E3779B97F4A7C15u;
};

/// Of recipe, config.json, all tensors and all calibration tokens. Reads the whole model once.
std::string fingerprint(const nlohmann::ordered_json& recipe, uint64_t seed, const format::TensorStore& store,
                        const std::vector<Sequence>& sequences);

/// Of one file's bytes.
std::string fileDigest(const std::filesystem::path& file);

}  // namespace vulcat::calibrate
