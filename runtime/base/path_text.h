#pragma once
// Paths as text and back. vulcat's texts are UTF-8 on every platform; on Windows <filesystem> alone would take them for the
// code page of the user.

#include <filesystem>
#include <string>
#include <string_view>

namespace vulcat {

inline std::string pathText(const std::filesystem::path& path) {
    const std::u8string text = path.u8string();
    return std::string(text.begin(), text.end());
}

inline std::filesystem::path pathOf(std::string_view text) {
    return std::filesystem::path(std::u8string(text.begin(), text.end()));
}

}  // namespace vulcat
