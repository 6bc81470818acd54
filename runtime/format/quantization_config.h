#pragma once
// The quantization_config object of config.json. Private to the floor.

#include "format/json_fields.h"
#include "format/model_config.h"

namespace vulcat::format {

/// Errors: Unsupported for another quant_method or a newer format_version; InvalidFile naming the field.
Quantization parseQuantization(const JsonFields& fields, const nlohmann::json& object, int layers);

}  // namespace vulcat::format
