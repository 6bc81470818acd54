#pragma once
// Floor `layers`: what a decoder is made of. A layer owns its weights on the GPU and its kernels; record() adds its
// dispatches to a recorder and touches nothing else, so a layer may be used by many sessions, one thread at a time.
//
//   TransformSite   x -> x' = MIX . B x -> codes: the input that linears of a site share
//   Linear          y = W x' + b for the stacked linears of a site, in the kernel its recipe asks for
//   Attention, Mlp  the two halves of a decoder layer, each adding its result to the residual stream
//   Norm, Embedding, Logits
//
// Activations are float32, row-major and tight: row m of a [rows, width] view begins at m * width.
// Everything is decided at construction: record() creates no pipeline and no memory.

#include "kernels/tuning.h"
#include "vk/capabilities.h"
#include "vk/device.h"
#include "vk/memory.h"
#include "vk/pipeline_library.h"
#include "vk/transfer.h"

namespace vulcat::layers {

/// Where layers run. The device and the library must outlive everything built on them.
struct Engine {
    vk::Device& device;
    vk::PipelineLibrary& pipelines;
    vk::CapabilitySet allowed;                ///< kernel variants are chosen within this set
    const kernels::Tuning* tuning = nullptr;  ///< what is known of their speed; read while layers are made

    /// What is known of a linear's.
    std::span<const kernels::LinearTile> tilesOf(const kernels::LinearSize& size) const {
        return tuning != nullptr ? tuning->tilesOf(size) : std::span<const kernels::LinearTile>();
    }
};

/// Where weights go while a model is loaded: the arena keeps them and must outlive the layers.
struct WeightSink {
    vk::Arena& arena;
    vk::Uploader& uploader;
};

/// Rows of activations that one pass may hold at most; linears make their pipelines for up to this many.
inline constexpr uint32_t kMaxRows = 512;

}  // namespace vulcat::layers
