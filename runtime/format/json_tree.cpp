#include "format/json_tree.h"

#include "base/error.h"

#include <utility>
#include <vector>

namespace vulcat::format {

namespace {

using Json = nlohmann::json;

// Builds the tree from parse events. The library's own tree builder would silently keep the last of two equal keys.
class Builder : public nlohmann::json_sax<Json> {
  public:
    Builder(std::string where, const JsonLimits& limits) : where_(std::move(where)), limits_(limits) {}

    bool null() override { return put(Json(nullptr)); }
    bool boolean(bool value) override { return put(Json(value)); }
    bool number_integer(number_integer_t value) override { return put(Json(value)); }
    bool number_unsigned(number_unsigned_t value) override { return put(Json(value)); }
    bool number_float(number_float_t value, const string_t&) override { return put(Json(value)); }
    bool string(string_t& value) override { return put(Json(std::move(value))); }
    bool binary(binary_t&) override { return false; }
    bool start_object(size_t) override { return open(Json::object()); }
    bool start_array(size_t) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(string_t& name) override {
        Json& object = *stack_.back();
        if (object.contains(name)) fail("the key \"" + name.substr(0, 80) + "\" appears twice");
        slot_ = &object[name];
        return true;
    }

    bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
        fail("not valid JSON at byte " + std::to_string(position));
    }

    Json take() { return std::move(root_); }

  private:
    [[noreturn]] void fail(const std::string& what) const { throw Error(Result::InvalidFile, where_ + ": " + what); }

    Json* place(Json value) {
        if (++count_ > limits_.values) fail("more than " + std::to_string(limits_.values) + " values");
        if (stack_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        Json& parent = *stack_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(value));
            return &parent.back();
        }
        *slot_ = std::move(value);
        return slot_;
    }
    bool put(Json value) {
        place(std::move(value));
        return true;
    }
    // A pointer to a container stays valid while it is open: its parent does not grow until it is closed.
    bool open(Json container) {
        if (stack_.size() >= limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth));
        stack_.push_back(place(std::move(container)));
        return true;
    }
    bool close() {
        stack_.pop_back();
        return true;
    }

    std::string where_;
    JsonLimits limits_;
    Json root_;
    std::vector<Json*> stack_;
    Json* slot_ = nullptr;
    size_t count_ = 0;
};

}  // namespace

Json parseJson(std::string_view text, const std::string& where, const JsonLimits& limits) {
    Builder builder(where, limits);
    Json::sax_parse(text.begin(), text.end(), &builder);
    return builder.take();
}

}  // namespace vulcat::format
