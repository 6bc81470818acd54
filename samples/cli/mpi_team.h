#pragma once
// Sharing a calibration between processes that mpirun started.

#include "calibrate/team.h"

#include <memory>

namespace vulcat::cli {

/// The processes that were started together, or null where this one was started alone. To be called at most once.
/// Errors: Unsupported when mpirun started a program that was built without MPI.
std::unique_ptr<calibrate::Team> startedTogether();

/// Ends all of them with this exit code; returns where this process was started alone. After a failure of one process
/// the others would wait for it forever.
void endTogether(int exitCode);

}  // namespace vulcat::cli
