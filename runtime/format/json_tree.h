#pragma once
// JSON from outside, parsed with bounds: nesting depth, number of values, and no duplicate keys, so that two readers
// of one file cannot see two different files. Private to the floors that read files; not part of their public headers.

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace vulcat::format {

struct JsonLimits {
    size_t depth = 32;
    size_t values = 8'000'000;  ///< scalars, arrays and objects together
};

/// Parses one JSON text. Errors: InvalidFile beginning with `where`, for a syntax error (with its byte), broken UTF-8,
/// a duplicate key (named), or a limit passed.
nlohmann::json parseJson(std::string_view text, const std::string& where, const JsonLimits& limits = {});

}  // namespace vulcat::format
