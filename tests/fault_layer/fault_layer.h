#pragma once
// How a test steers the fault-injection layer: it opens the same library and looks these functions up by name.

#include <cstdint>

extern "C" {

/// What happens at the chosen call.
enum FaultKind {
    FAULT_RESULT = 0,  ///< this call returns `result` and does nothing; later ones work again
    FAULT_LOST = 1,    ///< the device is lost from this call on, until another device is made
    FAULT_HANG = 2,    ///< from this call on no fence of the device ever signals, until another device is made
};

/// The n-th call (from 1) of `function` counted from here on fails. NULL disarms. Counters start at 0.
using VulcatFaultArm = void (*)(const char* function, uint64_t n, int kind, int32_t result);
/// Calls of `function` since the last arming.
using VulcatFaultCount = uint64_t (*)(const char* function);
/// 1 when the armed call has happened.
using VulcatFaultFired = int (*)();
/// Names of the functions that can fail, one after the other; NULL after the last.
using VulcatFaultName = const char* (*)(uint32_t index);
}
