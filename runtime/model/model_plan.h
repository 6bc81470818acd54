#pragma once
// What a model and a session will take, from the files' headers alone.

#include "model/session.h"

#include <cstdint>
#include <filesystem>

namespace vulcat::model {

struct ModelPlan {
    SessionShape shape;
    uint64_t weightsBytes = 0;      ///< blocks that hold all weights but for the vocabulary's share
    uint64_t vocabularyBytes = 0;   ///< embedding and output head
    uint64_t cacheBytes = 0;        ///< keys and values of one session
    uint64_t activationsBytes = 0;  ///< working memory of one session
    uint64_t hostBytes = 0;         ///< staging and read-back, besides
    uint64_t availableBytes = 0;    ///< on the device now

    uint64_t modelBytes() const { return weightsBytes + vocabularyBytes; }
    uint64_t sessionBytes() const { return cacheBytes + activationsBytes; }
    uint64_t totalBytes() const { return modelBytes() + sessionBytes(); }
};

/// Allocates nothing and reads no tensor data. Errors: InvalidFile, Unsupported as for loading; InvalidArgument as for
/// Session.
ModelPlan planModel(const layers::Engine& engine, const std::filesystem::path& folder, const SessionOptions& options);

/// Throws OutOfMemory with the plan's numbers unless `neededBytes` of it are available.
void requireMemory(const ModelPlan& plan, uint64_t neededBytes, const char* what);

/// The part of the plan that a session takes, for a model that is loaded.
ModelPlan planSession(const layers::Engine& engine, const format::ModelConfig& config, const SessionOptions& options);

}  // namespace vulcat::model
