#pragma once
// Where a session's time goes, kernel by kernel.

#include "layers/engine.h"
#include "model/session.h"

#include <cstdint>
#include <functional>
#include <string>

namespace vulcat::cli {

struct ProfiledWork {
    uint32_t tokens = 0;  ///< that it runs
    std::string what;     ///< "the prompt"
    std::string format;   ///< of Table::format()
};

/// Runs the work with timestamps around each dispatch, and prints the time of each kernel, its share of the wall time, and its
/// share of the work: timestamps charge a kernel with what every dispatch costs, an empty one at the end of each recording
/// too, and work is what is left without it. Throws Error(Unsupported) where there are no timestamps.
void profileSession(const layers::Engine& engine, model::Session& session, const std::function<void()>& run, const ProfiledWork& work);

}  // namespace vulcat::cli
