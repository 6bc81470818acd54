#pragma once
// A session's tokens, keys, values and logits as bytes, for save games and to branch a conversation.
//
// Layout, little endian: "VULCATKV", uint32 version, uint32 tokens, uint32 passes, uint32 logits, uint64 fingerprint of
// the model, uint64 FNV-1a of everything with this field zero; int32 tokens[], uint32 passEnds[], float logits[], then for each layer
// the keys and the values of the positions held, float32.

#include "model/session.h"

#include <cstddef>
#include <span>
#include <vector>

namespace vulcat::model {

/// What saveSession() gives for the session as it is, with `logits` after its last token (or none).
uint64_t stateBytes(const Session& session, size_t logits);
std::vector<std::byte> saveSession(const Session& session, std::span<const float> logits);

/// Replaces what the session holds and returns the logits. Nothing changes unless everything about the bytes is right.
/// Errors: InvalidFile for bytes that are damaged or of another model, InvalidArgument for a context that is too short.
std::vector<float> restoreSession(Session& session, std::span<const std::byte> state);

}  // namespace vulcat::model
