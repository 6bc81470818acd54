#pragma once
// Typed, bounded access to the members of a JSON object from outside; every complaint names the file and the field.
// Private to the floors that read files.

#include "base/error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace vulcat::format {

/// A view of one JSON object; `where` begins each message ("config.json" or "config.json: rope_scaling").
/// A member that is null counts as absent. The object must outlive the view.
class JsonFields {
  public:
    JsonFields(const nlohmann::json& object, std::string where) : object_(&object), where_(std::move(where)) {
        if (!object.is_object()) throw Error(Result::InvalidFile, where_ + ": expected an object");
    }

    const std::string& where() const { return where_; }
    [[noreturn]] void fail(std::string_view name, std::string_view what) const {
        throw Error(Result::InvalidFile, where_ + ": \"" + std::string(name) + "\" " + std::string(what));
    }

    /// The member, or null when absent.
    const nlohmann::json* find(std::string_view name) const {
        const auto member = object_->find(name);
        return member == object_->end() || member->is_null() ? nullptr : &*member;
    }
    const nlohmann::json& at(std::string_view name) const {
        const nlohmann::json* member = find(name);
        if (member == nullptr) fail(name, "is missing");
        return *member;
    }
    JsonFields object(std::string_view name) const {
        const nlohmann::json& member = at(name);
        if (!member.is_object()) fail(name, "must be an object");
        return {member, where_ + ": " + std::string(name)};
    }
    const nlohmann::json& array(std::string_view name) const {
        const nlohmann::json& member = at(name);
        if (!member.is_array()) fail(name, "must be an array");
        return member;
    }

    int64_t integer(std::string_view name, int64_t least, int64_t most) const {
        const nlohmann::json& member = at(name);
        const bool huge = member.is_number_unsigned() && member.get<uint64_t>() > INT64_MAX;
        if (!member.is_number_integer() || huge || member.get<int64_t>() < least || member.get<int64_t>() > most) {
            fail(name, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
        }
        return member.get<int64_t>();
    }
    int64_t integer(std::string_view name, int64_t least, int64_t most, int64_t absent) const {
        return find(name) == nullptr ? absent : integer(name, least, most);
    }
    /// A number with least <= value <= most.
    double number(std::string_view name, double least, double most) const {
        const nlohmann::json& member = at(name);
        const double value = member.is_number() ? member.get<double>() : NAN;
        if (!(value >= least && value <= most)) {
            fail(name, "must be a number from " + std::to_string(least) + " to " + std::to_string(most));
        }
        return value;
    }
    double number(std::string_view name, double least, double most, double absent) const {
        return find(name) == nullptr ? absent : number(name, least, most);
    }
    bool boolean(std::string_view name, bool absent) const {
        const nlohmann::json* member = find(name);
        if (member != nullptr && !member->is_boolean()) fail(name, "must be true or false");
        return member == nullptr ? absent : member->get<bool>();
    }
    const std::string& text(std::string_view name) const {
        const nlohmann::json& member = at(name);
        if (!member.is_string()) fail(name, "must be a string");
        return member.get_ref<const std::string&>();
    }
    std::string text(std::string_view name, std::string_view absent) const {
        return find(name) == nullptr ? std::string(absent) : text(name);
    }

  private:
    const nlohmann::json* object_;
    std::string where_;
};

}  // namespace vulcat::format
