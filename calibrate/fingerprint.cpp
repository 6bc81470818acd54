#include "calibrate/fingerprint.h"

#include "format/mapped_file.h"
#include "format/model_config.h"

#include <array>
#include <cstring>

namespace vulcat::calibrate {

namespace {
/// Goes up whenever the same recipe and inputs give other bytes: a run that an older program began is not continued.
constexpr uint64_t kAlgorithmVersion = 3;
}  // namespace

void Hasher::add(uint64_t word) {
    state_ = (state_ ^ word) * 0xFF51AFD7ED558CCDu;
    state_ ^= state_ >> 32;
}

void Hasher::add(std::span<const std::byte> bytes) {
    add(static_cast<uint64_t>(bytes.size()));  // so that parts cannot be shifted against each other unseen
    size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, 8);
        add(word);
    }
    uint64_t rest = 0;
    if (at < bytes.size()) std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
    add(rest);
}

void Hasher::add(std::string_view text) {
    add(std::as_bytes(std::span(text)));
}

std::string Hasher::digest() const {
    uint64_t state = state_;
    std::string text(16, '0');
    for (size_t i = 16; i-- > 0; state >>= 4) text[i] = "0123456789abcdef"[state & 15u];
    return text;
}

std::string fingerprint(const nlohmann::ordered_json& recipe, uint64_t seed, const format::TensorStore& store,
                        const std::vector<Sequence>& sequences) {
    Hasher hasher;
    hasher.add(kAlgorithmVersion);
    hasher.add(recipe.dump());
    hasher.add(seed);
    hasher.add(format::readTextFile(store.folder() / "config.json", format::kMaxConfigBytes));
    for (const format::TensorView& tensor : store.tensors()) {
        hasher.add(tensor.name);
        hasher.add(format::dtypeName(tensor.dtype));
        for (uint64_t size : tensor.shape) hasher.add(size);
        hasher.add(tensor.bytes);
        format::forgetPages(tensor.bytes);
    }
    for (const Sequence& sequence : sequences) hasher.add(std::as_bytes(std::span(sequence)));
    return hasher.digest();
}

std::string fileDigest(const std::filesystem::path& file) {
    const format::MappedFile mapped(file);
    Hasher hasher;
    hasher.add(mapped.bytes());
    return hasher.digest();
}

}  // namespace vulcat::calibrate
