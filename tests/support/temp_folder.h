#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace vulcat::test {

/// A fresh folder under the system's temporary folder, with a space in its name; removed with all it holds at the end.
class TempFolder {
  public:
    TempFolder();
    ~TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

/// Writes bytes to a file, replacing it; throws std::runtime_error when that fails.
void writeFile(const std::filesystem::path& path, std::string_view bytes);
/// All bytes of a file; throws std::runtime_error when it cannot be read.
std::string readFile(const std::filesystem::path& path);

}  // namespace vulcat::test
