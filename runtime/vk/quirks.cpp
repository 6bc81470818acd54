#include "vk/quirks.h"

namespace vulcat::vk {
namespace {

constexpr uint32_t kAmd = 0x1002;
constexpr uint32_t kIntel = 0x8086;

struct Quirk {
    bool (*applies)(const DeviceInfo&);
    CapabilitySet removes;
    bool gone;  ///< true: computes wrongly or is of no use, gone altogether; false: slow, not used unless asked for
    const char* reason;
};

/// llvmpipe keeps what is the same for all lanes in scalar registers, and LLVM joins scalar loads of neighbouring words;
/// seen with Mesa 26.2, not with 22.3.
bool keepsScalars(const DeviceInfo& info) {
    return info.driverId == VK_DRIVER_ID_MESA_LLVMPIPE && info.driverVersion >= VK_MAKE_API_VERSION(0, 26, 0, 0);
}

/// Early RADV for RDNA3; seen with Mesa 22.3 as machine code, not with 25.0.
bool loopsOverShuffles(const DeviceInfo& info) {
    return info.driverId == VK_DRIVER_ID_MESA_RADV && info.driverVersion < VK_MAKE_API_VERSION(0, 23, 0, 0) &&
           info.name.find("GFX11") != std::string::npos;
}

const Quirk kQuirks[] = {
    {[](const DeviceInfo& info) { return info.driverId == VK_DRIVER_ID_MOLTENVK && info.vendorId == kAmd; },
     {Capability::Subgroup},
     true,
     "MoltenVK on AMD reports subgroups of 64 where Metal runs 32, and shuffles go wrong"},
    {[](const DeviceInfo& info) { return info.vendorId == kIntel && !info.subgroupSizeControl; },
     {Capability::Subgroup},
     true,
     "Intel compiles a shader for 8, 16 or 32 lanes; without subgroup size control the true size is unknown"},
    {[](const DeviceInfo& info) { return info.vendorId == kIntel; },
     {Capability::Coopmat},
     false,
     "Intel's registers hold a small part of the sums of these tiles, and others found matrices slower there than dot products"},
    {loopsOverShuffles,
     {Capability::Subgroup},
     false,
     "RADV before Mesa 23 makes a loop over all lanes of each shuffle on RDNA3, and spills registers"},
    {[](const DeviceInfo& info) { return info.driverId == VK_DRIVER_ID_MESA_LLVMPIPE; },
     {Capability::Coopmat},
     false,
     "lavapipe's cooperative matrices are several times slower than its plain integer code"},
    {[](const DeviceInfo& info) { return info.driverId != VK_DRIVER_ID_GOOGLE_SWIFTSHADER; },
     {Capability::Quads},
     false,
     "doing without shifts pays only where the driver takes vector shifts apart"},
    {[](const DeviceInfo& info) { return info.vendorId != kAmd; },
     {Capability::Scalars},
     false,
     "naming subgroups is known to help only AMD's compilers, which load what a subgroup shares as scalars"},
    {[](const DeviceInfo& info) { return !keepsScalars(info); },
     {Capability::Address},
     true,
     "loads lane by lane from addresses pay only where the driver makes one vector load of neighbouring scalar loads; older "
     "llvmpipe compiles them for minutes"},
};

}  // namespace

void applyQuirks(DeviceInfo& info) {
    if (info.driverId == VK_DRIVER_ID_MOLTENVK) {
        info.workgroupsShare = false;
        info.quirks.push_back("no sites by several workgroups: Metal before 3.2 does not promise that one sees what another wrote");
    }
    for (const Quirk& quirk : kQuirks) {
        if (!quirk.applies(info) || (info.available & quirk.removes).empty()) continue;
        info.capabilities = info.capabilities - quirk.removes;
        if (quirk.gone) info.available = info.available - quirk.removes;
        info.quirks.push_back("without " + quirk.removes.toString() + ": " + quirk.reason);
    }
}

}  // namespace vulcat::vk
