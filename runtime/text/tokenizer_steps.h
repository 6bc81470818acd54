#pragma once
// The normaliser, pre-tokeniser, post-processor and decoder objects of tokenizer.json. Private to the floor.

#include "format/json_fields.h"
#include "text/tokenizer_file.h"

namespace vulcat::text {

/// Fills normaliser, cuts, byteLevel, addPrefixSpace, stripsLeadingSpace, bosToken and addsBos.
/// Errors: Unsupported naming a step that is not one of the two families; InvalidFile naming the field.
void readSteps(const format::JsonFields& root, TokenizerFile& file);

}  // namespace vulcat::text
