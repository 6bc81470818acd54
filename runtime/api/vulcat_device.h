#ifndef VULCAT_DEVICE_H
#define VULCAT_DEVICE_H
/* vulcat on the host's device: a part of vulcat.h, which includes it.
 * Vulkan cannot be asked what a device was created with, so the host asks first and says afterwards:
 *
 *     VulcatDeviceSupport support = {sizeof support};
 *     vulcatQueryDevice(&query, &support);
 *     ... vkCreateDevice with support.extensions, support.features and a queue of support.queueFamily ...
 *     VulcatHostDevice host = {sizeof host};
 *     host.capabilities = support.capabilities;
 *
 * vulcat needs Vulkan 1.1 and a compute queue, nothing else. All extensions and features are optional; each one left
 * out takes its capability away and costs speed, never a result. A host that enables vulkanMemoryModel for itself enables
 * vulkanMemoryModelDeviceScope too: Vulkan demands it of shaders whose workgroups meet, as some of vulcat's do.
 */
#ifndef VULCAT_H
#error "include vulcat.h"
#endif

enum {
    VULCAT_CAPABILITY_STORE16 = 1 << 0,      /* storageBuffer16BitAccess */
    VULCAT_CAPABILITY_F16 = 1 << 1,          /* shaderFloat16 */
    VULCAT_CAPABILITY_STORE8 = 1 << 2,       /* storageBuffer8BitAccess */
    VULCAT_CAPABILITY_I8 = 1 << 3,           /* shaderInt8 */
    VULCAT_CAPABILITY_DOT = 1 << 4,          /* shaderIntegerDotProduct */
    VULCAT_CAPABILITY_COOPMAT = 1 << 7,      /* cooperativeMatrix, vulkanMemoryModel, vulkanMemoryModelDeviceScope */
    VULCAT_CAPABILITY_ADDRESS = 1 << 9,      /* bufferDeviceAddress; offered by CPU drivers only */
    VULCAT_CAPABILITY_SIZE_CONTROL = 1 << 16 /* subgroupSizeControl and computeFullSubgroups */
};

typedef struct VulcatDeviceQuery {
    size_t structSize;
    VulcatFunction getInstanceProcAddr; /* the host's vkGetInstanceProcAddr */
    void* instance;                     /* VkInstance */
    void* physicalDevice;               /* VkPhysicalDevice */
    uint32_t apiVersion;                /* VkApplicationInfo.apiVersion of the instance; 0: Vulkan 1.1 */
} VulcatDeviceQuery;

#define VULCAT_MAX_EXTENSIONS 16

typedef struct VulcatDeviceSupport {
    size_t structSize;
    int usable;            /* 0: vulcat cannot run on this device; `reason` says why */
    char reason[256];      /* "" for a usable device */
    uint32_t queueFamily;  /* best family for vulcat: compute without graphics where there is one */
    uint32_t capabilities; /* VULCAT_CAPABILITY_... that the device offers */
    uint32_t extensionCount;
    const char* extensions[VULCAT_MAX_EXTENSIONS]; /* device extensions to enable for them; constant strings */
    /* The feature structs to enable for them, as VkDeviceCreateInfo.pNext (VkPhysicalDeviceFeatures2 first). It points
     * into this very struct, which must stay where it is meanwhile. A host with a chain of its own sets the features
     * named at VULCAT_CAPABILITY_... there instead, since Vulkan forbids a struct twice. */
    const void* features;
    uint64_t featureStorage[96];
    int offersLowPriority; /* VK_KHR_global_priority or its EXT form is there; a queue made with it should be LOW */
} VulcatDeviceSupport;

/* What the device could give and what to enable for it. Creates nothing. Returns success for an unusable device too;
 * VULCAT_ERROR_INVALID_ARGUMENT for a missing field. Both structSize must be sizeof the struct of this header. */
VULCAT_API VulcatResult vulcatQueryDevice(const VulcatDeviceQuery* query, VulcatDeviceSupport* support);

typedef struct VulcatHostDevice {
    size_t structSize;
    VulcatFunction getInstanceProcAddr;  /* the host's vkGetInstanceProcAddr */
    void* instance;                      /* VkInstance */
    void* physicalDevice;                /* VkPhysicalDevice */
    void* device;                        /* VkDevice; stays the host's and must outlive the context */
    uint32_t apiVersion;                 /* as in VulcatDeviceQuery */
    uint32_t queueFamily;                /* of `queue` and of the command buffers given to vulcatCmdLinear */
    void* queue;                         /* VkQueue with compute. NULL: layers can be recorded, but nothing submitted,
                                            so weights need memory that the host can write, and models are refused */
    uint32_t capabilities;               /* VULCAT_CAPABILITY_... that the host did enable */
    void (*lockQueue)(void* userData);   /* called around every use of `queue`; both may be NULL when the host never */
    void (*unlockQueue)(void* userData); /* uses the queue at the same time from another thread */
    void* userData;                      /* handed to both */
} VulcatHostDevice;

#endif
