#pragma once
// The safetensors container, read (memory-mapped) and written.
//
// File: u64 little-endian header length, a JSON header {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...,
// "__metadata__": {"key": "text"}}, then the data that the offsets count from.
// The reader treats the file as hostile. It accepts only: a header of at most 100 MB, nested at most 32 deep, without
// duplicate keys; at most 65,536 tensors; names of 1 to 512 bytes; at most 8 dimensions; known dtypes; sizes that equal
// shape x dtype; offsets that cover the data without holes, overlaps (empty tensors included) or a rest.

#include "format/dtype.h"
#include "format/mapped_file.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vulcat::format {

/// A tensor inside a mapped file; valid as long as the SafetensorsFile or TensorStore it came from (which may be
/// moved).
struct TensorView {
    std::string_view name;
    DType dtype = DType::U8;
    std::vector<uint64_t> shape;       ///< outermost first; empty for a scalar
    std::span<const std::byte> bytes;  ///< little endian, perhaps unaligned: read with memcpy or toFloat()

    /// Number of elements (1 for a scalar).
    uint64_t elements() const { return bytes.size() / dtypeBytes(dtype); }
};

/// One *.safetensors file. Move-only; const access is safe from several threads.
class SafetensorsFile {
  public:
    /// Errors: InvalidFile naming the file, the tensor and the field for anything that breaks the rules above.
    explicit SafetensorsFile(const std::filesystem::path& path);

    /// The tensor, or null.
    const TensorView* find(std::string_view name) const;
    /// The tensor; throws InvalidFile naming file and tensor when it is not there.
    const TensorView& at(std::string_view name) const;
    /// All tensors in the order of their data.
    const std::vector<TensorView>& tensors() const { return tensors_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const std::filesystem::path& path() const { return file_.path(); }
    /// See MappedFile::checkUnchanged.
    void checkUnchanged() const { file_.checkUnchanged(); }

  private:
    MappedFile file_;
    std::vector<std::string> names_;
    std::vector<TensorView> tensors_;
    std::unordered_map<std::string_view, size_t> index_;
    std::map<std::string, std::string> metadata_;
};

/// All tensors of a model folder: `model.safetensors`, or else the shards that `model.safetensors.index.json` lists.
/// Move-only; const access is safe from several threads.
class TensorStore {
  public:
    /// A model folder, or a single safetensors file.
    /// Errors: InvalidFile for a missing or broken file, an index that names a file outside the folder, a tensor that
    /// the index promises and its shard lacks, or one that two shards hold.
    explicit TensorStore(const std::filesystem::path& folder);

    const TensorView* find(std::string_view name) const;
    /// Throws InvalidFile naming folder and tensor when it is not there.
    const TensorView& at(std::string_view name) const;
    /// All tensors, shard after shard.
    const std::vector<TensorView>& tensors() const { return tensors_; }
    const std::filesystem::path& folder() const { return folder_; }
    /// The files behind the tensors.
    const std::vector<SafetensorsFile>& files() const { return files_; }
    void checkUnchanged() const;

  private:
    void addFile(const std::filesystem::path& path);

    std::filesystem::path folder_;
    std::vector<SafetensorsFile> files_;
    std::vector<TensorView> tensors_;
    std::unordered_map<std::string_view, size_t> index_;
};

/// Elements as float32 (exact for F32, F16, BF16). Precondition: out.size() == elements().
/// Errors: InvalidFile for another dtype.
void toFloat(const TensorView& tensor, std::span<float> out);
std::vector<float> toFloat(const TensorView& tensor);

/// Elements `begin` .. `begin + out.size()` as float32, for reading a large tensor by parts.
void toFloat(const TensorView& tensor, uint64_t begin, std::span<float> out);

/// Elements as int32. Errors: InvalidFile unless the dtype is I32.
std::vector<int32_t> toInt32(const TensorView& tensor);

/// Elements as fp16 bits. Errors: InvalidFile unless the dtype is F16.
std::vector<uint16_t> toHalfBits(const TensorView& tensor);

/// Throws InvalidFile naming the tensor if any element (F32, F16 or BF16) is NaN or infinite.
void requireFinite(const TensorView& tensor);

/// Throws InvalidFile naming the tensor, its shape and the expected one if they differ.
void requireShape(const TensorView& tensor, std::initializer_list<uint64_t> shape);

/// Throws InvalidFile naming the tensor and both types if it has another one.
void requireDType(const TensorView& tensor, DType dtype);

/// What a tensor will be, before its bytes exist.
struct TensorSpec {
    std::string name;
    DType dtype = DType::F32;
    std::vector<uint64_t> shape;

    /// Errors: InvalidFile when the product does not fit 64 bits.
    uint64_t sizeBytes() const;
};

/// Writes one *.safetensors file atomically (see AtomicFile): the header at once, tensors in any order, finish() last.
/// Data is laid out by element size, largest first, else in the order of the specs, so that every tensor is aligned to
/// its element; the same specs and bytes always give the same file. Memory: the header only.
class SafetensorsWriter {
  public:
    /// Errors: InvalidArgument for duplicate, empty, overlong or reserved names and too many dimensions; Failure when
    /// the file cannot be written.
    SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> specs,
                      const std::map<std::string, std::string>& metadata = {});
    ~SafetensorsWriter();
    SafetensorsWriter(SafetensorsWriter&&) noexcept;

    /// Writes one whole tensor. Errors: InvalidArgument for an unknown name, a second write, or a wrong size.
    void write(std::string_view name, std::span<const std::byte> bytes);
    template <class T>
    void write(std::string_view name, std::span<const T> values) {
        write(name, std::as_bytes(values));
    }

    /// Completes the file under its own name. Errors: InvalidArgument when a tensor was not written.
    void finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace vulcat::format
