#include "vk/pipeline_cache.h"

#include <cstring>

namespace vulcat::vk {
namespace {

constexpr char kCacheMagic[8] = {'V', 'U', 'L', 'C', 'A', 'T', 'P', 'C'};
constexpr uint32_t kVersion = 1;

struct Header {
    char magic[8];
    uint32_t version;
    uint32_t vendorId;
    uint32_t deviceId;
    uint32_t driverVersion;
    uint8_t pipelineCacheUuid[16];
    uint64_t modulesHash;
    uint64_t payloadBytes;
    uint64_t payloadHash;
};
static_assert(sizeof(Header) == 64, "the layout stated in the header file has no padding");

Header makeHeader(const DeviceInfo& info, uint64_t modulesHash, std::span<const std::byte> payload) {
    Header header{};
    std::memcpy(header.magic, kCacheMagic, sizeof kCacheMagic);
    header.version = kVersion;
    header.vendorId = info.vendorId;
    header.deviceId = info.deviceId;
    header.driverVersion = info.driverVersion;
    std::memcpy(header.pipelineCacheUuid, info.pipelineCacheUuid.data(), sizeof header.pipelineCacheUuid);
    header.modulesHash = modulesHash;
    header.payloadBytes = payload.size();
    header.payloadHash = fnv1a(payload);
    return header;
}

}  // namespace

uint64_t fnv1a(std::span<const std::byte> bytes, uint64_t start) {
    uint64_t hash = start;
    for (std::byte byte : bytes) hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
    return hash;
}

std::vector<std::byte> wrapPipelineCache(const DeviceInfo& info, uint64_t modulesHash,
                                         std::span<const std::byte> payload) {
    const Header header = makeHeader(info, modulesHash, payload);
    std::vector<std::byte> blob(sizeof header + payload.size());
    std::memcpy(blob.data(), &header, sizeof header);
    if (!payload.empty()) std::memcpy(blob.data() + sizeof header, payload.data(), payload.size());
    return blob;
}

std::span<const std::byte> unwrapPipelineCache(const DeviceInfo& info, uint64_t modulesHash,
                                               std::span<const std::byte> blob) {
    if (blob.size() < sizeof(Header)) return {};
    const std::span<const std::byte> payload = blob.subspan(sizeof(Header));
    // Everything in the header follows from the device, the modules and the payload: compare it as a whole.
    const Header expected = makeHeader(info, modulesHash, payload);
    return std::memcmp(&expected, blob.data(), sizeof expected) == 0 ? payload : std::span<const std::byte>{};
}

}  // namespace vulcat::vk
