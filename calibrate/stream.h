#pragma once
// The samples' hidden states on their way through the model, one site after another. Calibration keeps up to two of
// them: as the float model sees the samples, and as the model does that is quantised so far.

#include "calibrate/decoder.h"

namespace vulcat::calibrate {

class Stream {
  public:
    /// Begins at the embeddings of the sequences.
    Stream(const Decoder& decoder, std::span<const Sequence> sequences);

    size_t size() const { return hidden_.size(); }
    const Matrix& hidden(size_t s) const { return hidden_[s]; }
    /// The whole layer.
    void run(const Layer& layer, size_t s, const SiteObserver& observer = {});

    /// The input [T, K] of a site of sequence `s`. Within a layer each site is asked for once and in order; what leads
    /// to it is computed with the linears of the sites before, which `layer` must hold in their final form. Different
    /// sequences may be asked for on different threads. The head's may be asked for between layers; `layer` is not read.
    Matrix input(const Layer& layer, SiteKind kind, size_t s);
    /// After all four inputs: leads on to the next layer.
    void leave(const Layer& layer, size_t s);
    /// The input [T, d] that the head would have now.
    Matrix headInput(size_t s) const { return decoder_->headInput(hidden_[s]); }

  private:
    const Decoder* decoder_;
    std::vector<Matrix> hidden_;
    std::vector<Matrix> attention_;  ///< inputs of the site o, between its turn and gate_up's
};

}  // namespace vulcat::calibrate
