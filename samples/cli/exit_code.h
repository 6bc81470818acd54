#pragma once
// The exit codes of vulcat's programs, the same in every subcommand.

#include "base/error.h"

namespace vulcat::cli {

enum ExitCode : int {
    kExitOk = 0,
    kExitFailure = 1,
    kExitUsage = 2,
    kExitBadFile = 3,
    kExitNoDevice = 4,
    kExitOutOfMemory = 5,
    kExitDeviceLost = 6,
    kExitWrongResult = 7,
    kExitInterrupted = 130,
};

constexpr ExitCode exitCode(Result result) {
    switch (result) {
        case Result::Ok: return kExitOk;
        case Result::InvalidArgument: return kExitUsage;
        case Result::InvalidFile:
        case Result::Unsupported: return kExitBadFile;
        case Result::NoDevice: return kExitNoDevice;
        case Result::OutOfMemory: return kExitOutOfMemory;
        case Result::DeviceLost: return kExitDeviceLost;
        case Result::WrongResult: return kExitWrongResult;
        case Result::Cancelled: return kExitInterrupted;
        case Result::Failure: break;
    }
    return kExitFailure;
}

}  // namespace vulcat::cli
